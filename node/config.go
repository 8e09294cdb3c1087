package node

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/node/wire"
	"github.com/sage-p2p/sage-p2p/task"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

// Config is what an operator chooses. The toml tag of a field is its key in
// config.toml; with - for _ it is the flag, in capitals after SAGE_ the
// variable of the environment.
type Config struct {
	Home    string        `toml:"-"`       // folder of key, signer, genesis, store and blobs; one node at a time
	Name    string        `toml:"name"`    // of this platform: 3–32 of a-z 0-9 -
	Network string        `toml:"network"` // name of the federation; platforms of another are refused
	Profile store.Profile `toml:"profile"`

	Listen    []string `toml:"listen"`    // multiaddrs, TCP and QUIC; port 0 lets the system choose
	Announce  []string `toml:"announce"`  // multiaddrs at which others reach it besides those: a port that a router forwards
	Bootstrap []string `toml:"bootstrap"` // multiaddrs with /p2p/ID of platforms to connect to
	APIAddr   string   `toml:"api_addr"`  // host:port of the HTTP API; loopback only; port 0 lets the system choose

	// What a home without a genesis does. Join takes one from the platform that
	// made the invite, and GenesisFile one from a file. Otherwise Expect founds a federation of that many platforms, who all
	// sign its genesis; with Expect 0 the platform joins the federation of
	// its Bootstrap peers or, if it has none, one that it hears on the LAN, or
	// founds one of its own.
	Join        string `toml:"join"` // an invite, as text
	GenesisFile string `toml:"genesis"`
	Expect      int    `toml:"expect"`
	ParamsFile  string `toml:"params"` // parameters of a genesis that is founded here; the same file for all founders

	NoMDNS   bool `toml:"no_mdns"`  // neither announce this platform on the LAN nor look for others there
	Observer bool `toml:"observer"` // never vote, even if the genesis names this platform
	NoWork   bool `toml:"no_work"`  // accept no tasks, and witness none
	Public   bool `toml:"public"`   // reachable from the internet: relay for the federation
	Relay    bool `toml:"relay"`    // do nothing but that: as Public, Observer and NoWork together

	// What a platform does by itself for tasks with witnesses.
	NoWitness bool `toml:"no_witness"` // bond no stake: be drawn as no witness
	NoReview  bool `toml:"no_review"`  // neither acknowledge, dispute nor appeal: leave it to the operator

	// A server of language models, which this platform asks and offers to
	// others. Whoever starts the node makes runtimes of it (Upstream).
	OpenAIURL     string   `toml:"openai_url"`      // of its OpenAI-compatible API; empty for none
	OpenAIModels  []string `toml:"openai_models"`   // as the server calls them
	OpenAIKeyFile string   `toml:"openai_key_file"` // holds its API key; empty for none
	OpenAIPrice   string   `toml:"openai_price"`    // ATP for one question of others; empty for the default prices
}

// Upstream is the server of language models, or none.
func (c Config) Upstream() (u exec.UpstreamConfig, configured bool) {
	return exec.UpstreamConfig{URL: c.OpenAIURL, Models: c.OpenAIModels, KeyFile: c.OpenAIKeyFile}, c.OpenAIURL != ""
}

// offerLLM is what this platform asks for one question to its models.
func (c Config) offerLLM() (task.Offer, error) {
	offer := task.DefaultOffer(task.LLMInference)
	if c.OpenAIPrice == "" {
		return offer, nil
	}
	price, err := atp.ParseAmount(c.OpenAIPrice)
	if err == nil && price == 0 {
		err = errors.New("nothing is no price")
	}
	return task.Offer{Type: offer.Type, Low: price, Medium: price, High: price, Critical: price}, err
}

// whole is c with what Relay brings with it.
func (c Config) whole() Config {
	if c.Relay {
		c.Public, c.Observer, c.NoWork = true, true, true
	}
	return c
}

// DefaultConfig returns the configuration that `sage-p2p up` starts from.
func DefaultConfig() Config {
	return Config{
		Home:    defaultHome(),
		Name:    defaultName(),
		Network: "lan",
		Profile: store.Edge,
		Listen:  defaultListen(defaultPort),
		APIAddr: "127.0.0.1:7423",
	}
}

func defaultHome() string {
	if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "sage-p2p")
	}
	if dir, err := os.UserHomeDir(); err == nil {
		return filepath.Join(dir, ".local", "share", "sage-p2p")
	}
	return "sage-p2p-data"
}

// defaultName makes a valid platform name of the machine's.
func defaultName() string {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	host, _, _ = strings.Cut(strings.ToLower(host), ".")
	name := strings.Trim(strings.Map(func(r rune) rune {
		if r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' {
			return r
		}
		return '-'
	}, host), "-")
	if task.Name(name).Check() != nil {
		return "platform"
	}
	return name
}

// Validate reports every problem, not only the first.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("node: config: "+format, args...)) }
	if c.Home == "" {
		bad("home is empty: name a folder with --home")
	}
	if err := task.Name(c.Name).Check(); err != nil {
		bad("%w", err)
	}
	if err := task.Name(c.Network).Check(); err != nil {
		bad("network: %w", err)
	}
	if c.Profile != store.Edge && c.Profile != store.Server {
		bad("profile is %s, want edge or server", c.Profile)
	}
	if len(c.Listen) == 0 {
		bad("no address to listen on: give one with --listen")
	}
	for _, a := range c.Listen {
		if _, err := multiaddr.NewMultiaddr(a); err != nil {
			bad("listen address %q: %w; want /ip4/ADDRESS/tcp/PORT or /ip4/ADDRESS/udp/PORT/quic-v1", a, err)
		}
	}
	for _, a := range c.Announce {
		if _, err := multiaddr.NewMultiaddr(a); err != nil {
			bad("announced address %q: %w; want /ip4/ADDRESS/tcp/PORT, /ip4/ADDRESS/udp/PORT/quic-v1, or the same with /dns/NAME", a, err)
		}
	}
	for _, a := range c.Bootstrap {
		if _, err := peer.AddrInfoFromString(a); err != nil {
			bad("bootstrap address %q: %w; want /ip4/ADDRESS/tcp/PORT/p2p/ID, as `sage-p2p status` of the other platform shows", a, err)
		}
	}
	if err := checkLoopback(c.APIAddr); err != nil {
		bad("API address: %w", err)
	}
	c.validateFounding(bad)
	c.validateModels(bad)
	return errors.Join(errs...)
}

// validateModels looks at the server of language models. Whether all is named
// that is needed is for who makes runtimes of it to say.
func (c Config) validateModels(bad func(format string, args ...any)) {
	if u, configured := c.Upstream(); configured && len(u.Models) > 0 {
		if err := u.Validate(); err != nil {
			bad("server of language models: %w", err)
		}
	}
	if _, err := c.offerLLM(); err != nil {
		bad("price of a question %q: %w; want an amount of ATP such as 2.5", c.OpenAIPrice, err)
	}
}

func (c Config) validateFounding(bad func(format string, args ...any)) {
	if c.Expect < 0 || c.Expect > bft.MaxValidators {
		bad("expect is %d, want 1 to %d platforms", c.Expect, bft.MaxValidators)
	}
	if c.GenesisFile != "" && (c.Expect > 0 || c.ParamsFile != "") {
		bad("a genesis file and the wish to found a federation exclude each other: leave out --genesis, or --expect and --params")
	}
	if c.whole().Observer && c.Expect > 0 {
		bad("an observer founds nothing: leave out --expect, or --observer and --relay")
	}
	if c.Join == "" {
		return
	}
	invite, err := wire.ParseInvite(c.Join)
	switch {
	case err != nil:
		bad("join: %w: copy it again, whole, or ask for another", err)
	case c.GenesisFile != "" || c.Expect > 0 || c.ParamsFile != "":
		bad("an invite is to a federation that there is: leave out --join, or --genesis, --expect and --params")
	case c.Network != invite.Network:
		bad("the invite is to a federation named %q, and this platform is to be of %q: start it with --network %s", invite.Network, c.Network, invite.Network)
	}
}

// checkLoopback refuses an address that other machines reach: there is no TLS
// for it, and the token would travel in the clear.
func checkLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%s is reachable from other machines; use 127.0.0.1, and a tunnel such as ssh -L from elsewhere", addr)
	}
	return nil
}

// bootstrap returns the parsed Bootstrap addresses, those of one peer together.
func (c Config) bootstrap() ([]peer.AddrInfo, error) {
	addrs, err := parseAll("bootstrap", c.Bootstrap)
	if err != nil {
		return nil, err
	}
	return peer.AddrInfosFromP2pAddrs(addrs...)
}

func parseAll(what string, texts []string) ([]multiaddr.Multiaddr, error) {
	addrs := make([]multiaddr.Multiaddr, len(texts))
	for i, a := range texts {
		var err error
		if addrs[i], err = multiaddr.NewMultiaddr(a); err != nil {
			return nil, fmt.Errorf("node: %s address %q: %w", what, a, err)
		}
	}
	return addrs, nil
}

// defaultPort is where a platform listens unless told otherwise.
const defaultPort = 7422

// listen returns the parsed Listen addresses. When they are the defaults and
// the port is taken, by another platform on this machine, the system chooses.
func (c Config) listen() (addrs []multiaddr.Multiaddr, replaced bool, err error) {
	texts := c.Listen
	if slices.Equal(texts, defaultListen(defaultPort)) && portTaken(defaultPort) {
		texts, replaced = defaultListen(0), true
	}
	addrs, err = parseAll("listen", texts)
	return addrs, replaced, err
}

func defaultListen(port int) []string {
	return []string{fmt.Sprintf("/ip4/0.0.0.0/udp/%d/quic-v1", port), fmt.Sprintf("/ip4/0.0.0.0/tcp/%d", port)}
}

// portTaken reports whether somebody on this machine has the port.
func portTaken(port int) bool {
	address := fmt.Sprintf("0.0.0.0:%d", port)
	tcp, err := net.Listen("tcp", address)
	if err != nil {
		return true
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", address)
	if err != nil {
		return true
	}
	return udp.Close() != nil
}

// nowAtp is nowMillis for a chain.
func nowAtp() atp.Millis { return atp.Millis(nowMillis()) }

// nowMillis is the machine's clock.
func nowMillis() uint64 { return uint64(time.Now().UnixMilli()) }
