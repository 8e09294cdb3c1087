package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

func defaultHome() string { return node.DefaultConfig().Home }

func (p program) up() *cli.Command {
	d := node.DefaultConfig()
	return &cli.Command{
		Name:  "up",
		Usage: "run a node until Ctrl-C",
		Description: "The first time it makes a key in --home, then finds or founds a federation:\n" +
			"the one in its home, else that of --genesis, else one founded with --expect\n" +
			"platforms, else that of its --bootstrap peers, else one of its own.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "name", Usage: "`NAME` of this platform, 3-32 of a-z 0-9 -", Value: d.Name, EnvVars: []string{"SAGE_NAME"}},
			&cli.StringFlag{Name: "network", Usage: "`NAME` of the federation", Value: d.Network, EnvVars: []string{"SAGE_NETWORK"}},
			&cli.StringSliceFlag{Name: "listen", Usage: "multiaddress `ADDR`; may be repeated", Value: cli.NewStringSlice(d.Listen...), EnvVars: []string{"SAGE_LISTEN"}},
			&cli.StringFlag{Name: "api-addr", Usage: "`HOST:PORT` of the API; port 0: any free one", Value: d.APIAddr, EnvVars: []string{"SAGE_API_ADDR"}},
			&cli.IntFlag{Name: "expect", Usage: "found a federation of `N` platforms, all of which sign its genesis; with --bootstrap for the N-1 others, nobody else counts"},
			&cli.StringSliceFlag{Name: "bootstrap", Usage: "`ADDR` of a platform to connect to; may be repeated", EnvVars: []string{"SAGE_BOOTSTRAP"}},
			&cli.StringFlag{Name: "genesis", Usage: "`FILE` of the federation to take part in"},
			&cli.StringFlag{Name: "params", Usage: "`FILE` with parameters of a genesis to found"},
			&cli.BoolFlag{Name: "observer", Usage: "never vote"},
			&cli.BoolFlag{Name: "no-work", Usage: "accept no tasks"},
			&cli.StringFlag{Name: "profile", Usage: "edge or server", Value: d.Profile.String(), EnvVars: []string{"SAGE_PROFILE"}},
		},
		Action: p.runNode,
	}
}

func (p program) runNode(c *cli.Context) error {
	if err := countArgs(c, 0, 0); err != nil {
		return err
	}
	cfg, err := nodeConfig(c)
	if err != nil {
		return err
	}
	log, err := logger(p.err, c.String("log-level"), c.String("log-format"))
	if err != nil {
		return err
	}
	if err := checkGenesis(cfg); err != nil {
		return err
	}
	wasm, err := exec.NewWASM(filepath.Join(cfg.Home, "wasm"))
	if err != nil {
		return err
	}
	runtimes, err := exec.NewRegistry(wasm)
	if err != nil {
		return err
	}
	n, err := node.New(cfg, node.WithLogger(log), node.WithRuntimes(runtimes),
		node.WithPresence(func(a node.Presence) {
			p.announce(c, log, newListening(a), func(w io.Writer) {
				printListening(w, cfg.Name, a)
				printAwaited(w, cfg)
			})
		}),
		node.WithFederation(func(f node.Federation) {
			p.announce(c, log, newJoined(f), func(w io.Writer) {
				printJoined(w, f)
				fmt.Fprintf(w, "it runs; see how with: %s; Ctrl-C ends it\n", p.command("status"))
			})
		}))
	if err != nil {
		return err
	}
	return n.Run(c.Context)
}

// nodeConfig reads the flags of up. What is wrong with them is a misuse.
func nodeConfig(c *cli.Context) (node.Config, error) {
	profile, err := store.ParseProfile(c.String("profile"))
	if err != nil {
		return node.Config{}, usagef("--profile %q: want edge or server", c.String("profile"))
	}
	cfg := node.Config{
		Home: c.String("home"), Name: c.String("name"), Network: c.String("network"), Profile: profile,
		Listen: c.StringSlice("listen"), APIAddr: c.String("api-addr"), Bootstrap: c.StringSlice("bootstrap"),
		Expect: c.Int("expect"), GenesisFile: c.String("genesis"), ParamsFile: c.String("params"),
		Observer: c.Bool("observer"), NoWork: c.Bool("no-work"),
	}
	if err := cfg.Validate(); err != nil {
		return node.Config{}, usagef("%v", err).hint("see the flags with: sage-p2p up --help")
	}
	return cfg, nil
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
		why, more, _ := strings.Cut(err.Error(), "\n") // of a forged one no founder's signature holds
		if n := strings.Count(more, "\n") + 1; more != "" {
			why = fmt.Sprintf("%s (and %d more)", why, n)
		}
		return chain.Genesis{}, failedf("the genesis %q cannot be used: %s", file, reason(why)).
			hint("put the file %s of another platform of the federation in its place", genesisFile)
	}
	return g, nil
}

// logger writes to w what is at least of a level.
func logger(w io.Writer, level, format string) (*slog.Logger, error) {
	var o slog.HandlerOptions
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usagef("--log-level %q: want debug, info, warn or error", level)
	}
	o.Level = l
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, &o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, &o)), nil
	default:
		return nil, usagef("--log-format %q: want text or json", format)
	}
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
}

func newListening(a node.Presence) listening { return listening{a.Self.String(), a.Listen, a.API} }

// printListening says where the platform is reached, while there may be no
// federation yet: that is what others need to found one with it.
func printListening(w io.Writer, name string, a node.Presence) {
	facts(w,
		[2]string{"this is", fmt.Sprintf("%s · %s", clean(name), a.Self)},
		[2]string{"API", a.API},
	)
	fmt.Fprintln(w, "others reach it with --bootstrap")
	for _, addr := range a.Listen {
		fmt.Fprintf(w, "  %s\n", addr)
	}
}

// printAwaited says what the platform does next, if it has no federation yet.
func printAwaited(w io.Writer, cfg node.Config) {
	_, err := os.Stat(filepath.Join(cfg.Home, genesisFile))
	switch {
	case err == nil || cfg.GenesisFile != "":
	case cfg.Expect > 1:
		fmt.Fprintf(w, "waiting for %s to found %q with\n", plural(cfg.Expect-1, "other platform", "other platforms"), clean(cfg.Network))
	case cfg.Expect == 0 && len(cfg.Bootstrap) > 0:
		fmt.Fprintln(w, "waiting for a bootstrap platform to answer")
	}
}

// joined is what `up --json` prints once it has a federation.
type joined struct {
	Network string `json:"network"`
	Genesis string `json:"genesis"`
	Founder string `json:"founder"`
}

func newJoined(f node.Federation) joined { return joined{f.Network, f.Genesis.String(), f.Founder} }

// printJoined says whose federation this is, before anything is done in it.
func printJoined(w io.Writer, f node.Federation) {
	fmt.Fprintf(w, "federation %q\n", clean(f.Network))
	facts(w,
		[2]string{"genesis", f.Genesis.String()},
		[2]string{"founded by", clean(f.Founder)},
	)
}
