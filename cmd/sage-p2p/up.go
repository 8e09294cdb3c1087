package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

func defaultHome() string { return node.DefaultConfig().Home }

func (p program) up() *cli.Command {
	return &cli.Command{
		Name:  "up",
		Usage: "run a node until Ctrl-C",
		Description: "The first time it makes a key in --home, then finds or founds a federation:\n" +
			"the one in its home, else that of --join or --genesis, else one founded with\n" +
			"--expect platforms, else that of its --bootstrap peers, else one that it hears\n" +
			"on the LAN, else, when 3 seconds have passed, one of its own.\n" +
			"Behind a router it is reached through the public platforms of its federation,\n" +
			"until a direct way is found: peers says which way each goes, and why.",
		Flags:  upFlags(),
		Action: p.runNode,
	}
}

// upFlags are the settings of a node. Each has a key in config.toml, too.
func upFlags() []cli.Flag {
	d := node.DefaultConfig()
	return []cli.Flag{
		&cli.StringFlag{Name: "name", Usage: "`NAME` of this platform, 3-32 of a-z 0-9 -", Value: d.Name, EnvVars: []string{"SAGE_NAME"}},
		&cli.StringFlag{Name: "network", Usage: "`NAME` of the federation", Value: d.Network, EnvVars: []string{"SAGE_NETWORK"}},
		&cli.StringSliceFlag{Name: "listen", Usage: "multiaddress `ADDR`; may be repeated", Value: cli.NewStringSlice(d.Listen...), EnvVars: []string{"SAGE_LISTEN"}},
		&cli.StringFlag{Name: "api-addr", Usage: "`HOST:PORT` of the API; port 0: any free one", Value: d.APIAddr, EnvVars: []string{"SAGE_API_ADDR"}},
		&cli.IntFlag{Name: "expect", Usage: "found a federation of `N` platforms, all of which sign its genesis; with --bootstrap for the N-1 others, nobody else counts", EnvVars: []string{"SAGE_EXPECT"}},
		&cli.StringSliceFlag{Name: "announce", Usage: "multiaddress `ADDR` at which others reach this platform besides those: a port that a router forwards; may be repeated", EnvVars: []string{"SAGE_ANNOUNCE"}},
		&cli.StringSliceFlag{Name: "bootstrap", Usage: "`ADDR` of a platform to connect to; may be repeated", EnvVars: []string{"SAGE_BOOTSTRAP"}},
		&cli.StringFlag{Name: "join", Usage: "`INVITE` to the federation to join, as federation invite prints it, or @FILE with it", EnvVars: []string{"SAGE_JOIN"}},
		&cli.StringFlag{Name: "genesis", Usage: "`FILE` of the federation to take part in", EnvVars: []string{"SAGE_GENESIS"}},
		&cli.StringFlag{Name: "params", Usage: "`FILE` with parameters of a genesis to found", EnvVars: []string{"SAGE_PARAMS"}},
		&cli.BoolFlag{Name: "observer", Usage: "never vote, and found nothing", EnvVars: []string{"SAGE_OBSERVER"}},
		&cli.BoolFlag{Name: "no-mdns", Usage: "neither announce this platform on the LAN nor look for others there", EnvVars: []string{"SAGE_NO_MDNS"}},
		&cli.BoolFlag{Name: "no-work", Usage: "accept no tasks, and witness none", EnvVars: []string{"SAGE_NO_WORK"}},
		&cli.BoolFlag{Name: "public", Usage: "this platform is reachable from the internet: relay between those of its federation that are not", EnvVars: []string{"SAGE_PUBLIC"}},
		&cli.BoolFlag{Name: "relay", Usage: "do nothing else: as --public --observer --no-work", EnvVars: []string{"SAGE_RELAY"}},
		&cli.BoolFlag{Name: "no-witness", Usage: "bond no stake, of 150 ATP, to be drawn as a witness of others' tasks", EnvVars: []string{"SAGE_NO_WITNESS"}},
		&cli.BoolFlag{Name: "no-review", Usage: "leave results that witnesses could judge to the operator: neither acknowledge, dispute nor appeal by itself", EnvVars: []string{"SAGE_NO_REVIEW"}},
		&cli.StringFlag{Name: "openai-url", Usage: "`URL` of a server of language models with an OpenAI-compatible API, such as http://127.0.0.1:8080/v1, to ask and to offer to others", EnvVars: []string{"SAGE_OPENAI_URL"}},
		&cli.StringSliceFlag{Name: "openai-models", Usage: "`NAME` of a model there; may be repeated", EnvVars: []string{"SAGE_OPENAI_MODELS"}},
		&cli.StringFlag{Name: "openai-key-file", Usage: "`FILE` with its API key, which only its owner may read", EnvVars: []string{"SAGE_OPENAI_KEY_FILE"}},
		&cli.StringFlag{Name: "openai-price", Usage: "`ATP` for a question of others to it, instead of the default prices", EnvVars: []string{"SAGE_OPENAI_PRICE"}},
		&cli.StringFlag{Name: "profile", Usage: "edge or server", Value: d.Profile.String(), EnvVars: []string{"SAGE_PROFILE"}},
	}
}

func (p program) runNode(c *cli.Context) error {
	if err := countArgs(c, 0, 0); err != nil {
		return err
	}
	set, _, err := p.resolve(c)
	if err != nil {
		return err
	}
	return p.operate(c, c.Context, set, nil)
}

// operate runs a node with these settings until ctx ends. It calls done, unless nil,
// once the node has its federation.
func (p program) operate(c *cli.Context, ctx context.Context, set settings, done func()) (err error) {
	if err := set.check(); err != nil {
		return err
	}
	cfg := set.Config
	log, err := logger(p.err, set.LogLevel, set.LogFormat)
	if err != nil {
		return err
	}
	file := newLogFile(cfg.Home)
	defer func() { err = errors.Join(err, file.close()) }()
	log = andFile(log, file)
	if err := checkGenesis(cfg); err != nil {
		return err
	}
	if err := p.checkInvite(ctx, cfg, log); err != nil {
		return err
	}
	runtimes, upstream, err := makeRuntimes(cfg)
	if err != nil {
		return err
	}
	if upstream != nil {
		defer upstream.Close()
	}
	return node.Operate(ctx, cfg, node.WithLogger(log), node.WithRuntimes(runtimes),
		node.WithPresence(func(a node.Presence) {
			if err := errors.Join(file.begin(), offerConfig(cfg.Home)); err != nil {
				log.Warn("cannot write beside the key", "err", err)
			}
			p.announce(c, log, newListening(a), func(w io.Writer) {
				printListening(w, a)
				printModels(w, cfg, runtimes, upstream)
				printAwaited(w, cfg)
			})
		}),
		node.WithFederation(func(f node.Federation) {
			p.announce(c, log, newJoined(f), func(w io.Writer) {
				printJoined(w, f)
				if done == nil {
					fmt.Fprintf(w, "it runs; see how with: %s; Ctrl-C ends it\n", p.command("status"))
				}
			})
			if done != nil {
				done()
			}
		}),
		node.WithAlarms(func(text string) {
			p.announce(c, log, alarmed{text}, func(w io.Writer) { p.printAlarm(w, text) })
		}))
}

// makeRuntimes makes what executes tasks: WASM and, if a server of them is named,
// language models.
func makeRuntimes(cfg node.Config) (exec.Registry, *exec.Upstream, error) {
	wasm, err := exec.NewWASM(filepath.Join(cfg.Home, "wasm"))
	if err != nil {
		return exec.Registry{}, nil, err
	}
	all := []exec.Runtime{honestly(wasm)}
	named, configured := cfg.Upstream()
	if !configured && (len(named.Models) > 0 || named.KeyFile != "" || cfg.OpenAIPrice != "") {
		return exec.Registry{}, nil, usagef("there are settings of a server of language models, and no server").hint("name it with --openai-url, such as http://127.0.0.1:8080/v1")
	}
	if !configured {
		r, err := exec.NewRegistry(all...)
		return r, nil, err
	}
	upstream, err := exec.NewUpstream(named)
	if err != nil {
		return exec.Registry{}, nil, usagef("%s", reason(err.Error())).hint("see where each value comes from with: sage-p2p config show")
	}
	r, err := exec.NewRegistry(append(all, upstream.Runtimes()...)...)
	return r, upstream, err
}

// printModels says which language models the platform has.
func printModels(w io.Writer, cfg node.Config, runtimes exec.Registry, upstream *exec.Upstream) {
	if upstream == nil {
		return
	}
	models := slices.DeleteFunc(runtimes.Names(), func(name string) bool { return !strings.HasPrefix(name, exec.LLMPrefix) })
	terms := "offered to others at the default prices"
	switch {
	case cfg.NoWork:
		terms = "for this platform alone"
	case cfg.OpenAIPrice != "":
		terms = "offered to others at " + clean(cfg.OpenAIPrice) + " ATP a question"
	}
	fmt.Fprintf(w, "language models of %s, %s\n", clean(upstream.URL()), terms)
	for _, name := range models {
		fmt.Fprintf(w, "  %s\n", clean(strings.TrimPrefix(name, exec.LLMPrefix)))
	}
}

// checkGenesis refuses a genesis that no federation can have, before a key is
// made for it and before others hear of this platform.
func checkGenesis(cfg node.Config) error {
	if _, err := readGenesis(filepath.Join(cfg.Home, genesisFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if cfg.GenesisFile == "" {
		return nil
	}
	g, err := readGenesis(cfg.GenesisFile)
	if errors.Is(err, fs.ErrNotExist) {
		return noFile("genesis", cfg.GenesisFile, err).hint("it is the file %s in the home of any platform of the federation", genesisFile)
	}
	if err != nil {
		return err
	}
	if g.Network != cfg.Network {
		return failedf("the genesis %q is of the network %q, not of %q", cfg.GenesisFile, g.Network, cfg.Network).hint("start with --network %s", g.Network)
	}
	return nil
}

// genesisFile is the name of the genesis in a home.
const genesisFile = "genesis.json"

// readGenesis reads a genesis. That there is no such file is fs.ErrNotExist.
func readGenesis(file string) (chain.Genesis, error) {
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return chain.Genesis{}, err
	}
	if err != nil {
		return chain.Genesis{}, noFile("genesis", file, err)
	}
	g, err := chain.ParseGenesis(raw)
	if err != nil {
		return chain.Genesis{}, failedf("the genesis %q cannot be used: %s", file, node.GenesisFault(err)).
			hint("put the file %s of another platform of the federation in its place", genesisFile)
	}
	return g, nil
}

// announce prints news of the node that runs; that it cannot ends nothing.
func (p program) announce(c *cli.Context, log *slog.Logger, v any, human func(io.Writer)) {
	if err := p.show(c, v, human); err != nil {
		log.Warn("cannot print", "err", err)
	}
}

// listening is what `up --json` prints first, one value per line.
type listening struct {
	PeerID string   `json:"peer_id"`
	Listen []string `json:"listen"`
	API    string   `json:"api"`
	Moved  []string `json:"moved,omitempty"` // which default ports were taken
}

func newListening(a node.Presence) listening {
	return listening{a.Self.String(), a.Listen, a.API, a.Moved}
}

// printListening says where the platform is reached, while there may be no
// federation yet: that is what others need to found one with it.
func printListening(w io.Writer, a node.Presence) {
	facts(w,
		[2]string{"this is", fmt.Sprintf("%s · %s", clean(a.Name), a.Self)},
		[2]string{"API", a.API},
	)
	for _, port := range a.Moved {
		fmt.Fprintf(w, "%s is taken, by another platform perhaps; a free one is used\n", port)
	}
	printReached(w, a.Listen)
}

// printAwaited says what the platform does next, if it has no federation yet.
func printAwaited(w io.Writer, cfg node.Config) {
	_, err := os.Stat(filepath.Join(cfg.Home, genesisFile))
	switch {
	case err == nil || cfg.GenesisFile != "":
	case cfg.Join != "":
		fmt.Fprintf(w, "invited to %q\n", clean(cfg.Network))
	case cfg.Expect > 1:
		fmt.Fprintf(w, "waiting for %s to found %q with\n", plural(cfg.Expect-1, "other platform", "other platforms"), clean(cfg.Network))
	case cfg.Expect == 1 || cfg.Expect == 0 && cfg.NoMDNS && len(cfg.Bootstrap) == 0:
	case len(cfg.Bootstrap) > 0:
		fmt.Fprintln(w, "waiting for a bootstrap platform to answer")
	case cfg.Observer:
		fmt.Fprintf(w, "listening for a federation named %q on this network\n", clean(cfg.Network))
	default:
		fmt.Fprintf(w, "listening for 3 s for a federation named %q on this network\n", clean(cfg.Network))
	}
}

// joined is what `up --json` prints once it has a federation.
type joined struct {
	Network string `json:"network"`
	Genesis string `json:"genesis"`
	Founder string `json:"founder"`
	Origin  string `json:"origin"` // home, found or founded
	Awaits  string `json:"awaits,omitempty"`
}

func newJoined(f node.Federation) joined {
	return joined{f.Network, f.Genesis.String(), f.Founder, f.Origin.String(), f.Awaits}
}

// alarmed is what `up --json` prints when there is something that its operator must
// hear.
type alarmed struct {
	Alarm string `json:"alarm"`
}

// printJoined says whose federation this is, before anything is done in it.
func printJoined(w io.Writer, f node.Federation) {
	switch f.Origin {
	case node.OriginFound:
		fmt.Fprintf(w, "found the federation %q\n", clean(f.Network))
	case node.OriginFounded:
		fmt.Fprintf(w, "founded the federation %q\n", clean(f.Network))
	default:
		fmt.Fprintf(w, "federation %q\n", clean(f.Network))
	}
	facts(w,
		[2]string{"genesis", f.Genesis.String()},
		[2]string{"founded by", clean(f.Founder)},
	)
	if f.Awaits != "" {
		fmt.Fprintln(w, strings.Join(wrap(clean(f.Awaits), helpWidth), "\n"))
	}
}
