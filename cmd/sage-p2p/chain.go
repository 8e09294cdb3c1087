package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

func (p program) chain() *cli.Command {
	return &cli.Command{
		Name:  "chain",
		Usage: "the chain in a home",
		Subcommands: []*cli.Command{
			{
				Name:  "check",
				Usage: "execute a stopped node's chain again, from its genesis, and compare",
				Action: func(c *cli.Context) error {
					if err := countArgs(c, 0, 0); err != nil {
						return err
					}
					report, err := checkHome(c.Context, c.String("home"))
					if err != nil {
						return err
					}
					return p.showChain(c, report, "the chain is whole: %s executed again, every signature and certificate checked")
				},
			},
			{
				Name: "export", ArgsUsage: "FILE", Usage: "write a stopped node's chain to a new file",
				Description: "FILE is a CAR file with the genesis and, for each final block, its header, its\n" +
					"transactions and its certificate: all that it takes to check and execute it.",
				Action: func(c *cli.Context) error {
					if err := countArgs(c, 1, 1); err != nil {
						return err
					}
					report, err := exportHome(c.Context, c.String("home"), c.Args().First())
					if err != nil {
						return err
					}
					return p.show(c, report, func(w io.Writer) {
						fmt.Fprintf(w, "written: %s to %s, %d bytes\n", plural(int(report.Height), "block", "blocks"), report.File, report.Bytes)
					})
				},
			},
			{
				Name: "import", ArgsUsage: "FILE", Usage: "fill a new home with the chain of a file, checking all of it",
				Description: "Nothing in FILE is taken on trust but that its genesis is the one that you mean:\n" +
					"every signature and certificate is checked, and every block executed. The home\n" +
					"gets a key of its own; up then fetches what is newer from the others.",
				Action: func(c *cli.Context) error {
					if err := countArgs(c, 1, 1); err != nil {
						return err
					}
					report, err := importHome(c.Context, c.String("home"), c.Args().First())
					if err != nil {
						return err
					}
					return p.showChain(c, report, "imported: %s executed, every signature and certificate checked")
				},
			},
		},
	}
}

// showChain prints what a chain came to.
func (p program) showChain(c *cli.Context, report checked, done string) error {
	return p.show(c, report, func(w io.Writer) {
		text := fmt.Sprintf(done, plural(int(report.Height), "block", "blocks"))
		fmt.Fprintln(w, strings.Join(wrap(text, helpWidth), "\n"))
		facts(w,
			[2]string{"network", clean(report.Network)},
			[2]string{"genesis", report.Genesis},
			[2]string{"height", fmt.Sprint(report.Height)},
			[2]string{"block", report.Block.String()},
			[2]string{"state root", report.StateRoot.String()},
			[2]string{"supply", coins(report.Totals.SupplyUATP)},
		)
	})
}

// checked is what a chain came to when it was executed again.
type checked struct {
	Network      string      `json:"network"`
	Genesis      string      `json:"genesis"`
	Height       view.Height `json:"height"`
	Block        view.CID    `json:"block"`
	StateRoot    view.CID    `json:"state_root"`
	Transactions int         `json:"transactions"`
	Totals       view.Totals `json:"totals"`
}

// checkHome executes the chain in a home again. It writes nothing but what the
// store writes to be opened.
func checkHome(ctx context.Context, home string) (report checked, err error) {
	s, genesis, err := openStopped(home)
	if err != nil {
		return checked{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	c, err := newCheck(genesis)
	if err != nil {
		return checked{}, err
	}
	for final, err := range s.Blocks(1) {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return checked{}, err
		}
		if _, err := c.execute(final.Block.Header, final.Block.Body(), final.Cert); err != nil {
			return checked{}, failedf("block %d does not hold: %v", final.Block.Header.Height, err).
				hint("set the folder %s aside: the node then fetches the chain from the others", filepath.Join(home, "store"))
		}
	}
	return c.report(), c.compare(s)
}

// openStopped opens the chain in the home of a node that does not run.
func openStopped(home string) (*store.Store, chain.Genesis, error) {
	genesis, err := readGenesis(filepath.Join(home, genesisFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, genesis, failedf("there is no chain in %s: it has no %s", home, genesisFile).hint("name the folder of a node with --home")
	}
	if err != nil {
		return nil, genesis, err
	}
	dir := filepath.Join(home, "store")
	if _, err := os.Stat(dir); err != nil {
		return nil, genesis, failedf("there is no chain in %s: %v", home, cause(err))
	}
	s, err := store.Open(dir, store.Edge)
	if errors.Is(err, store.ErrInUse) {
		return nil, genesis, (&refusal{code: exitUnsafe, message: fmt.Sprintf("a node is running in %s, and its chain cannot be read beside it", home)}).
			hint("end it with: sage-p2p stop")
	}
	if err != nil {
		return nil, genesis, err
	}
	if err := sameChain(s, genesis); err != nil {
		return nil, genesis, errors.Join(err, s.Close())
	}
	return s, genesis, nil
}

// sameChain checks that a store is of the chain that a genesis begins.
func sameChain(s *store.Store, g chain.Genesis) error {
	hash, err := g.Hash()
	if err != nil {
		return err
	}
	have, err := s.Genesis()
	switch {
	case errors.Is(err, store.ErrNotFound):
		return failedf("the store is empty: the node never began its chain").hint("start it once with: sage-p2p up")
	case err != nil:
		return err
	case have != hash:
		return failedf("the store is of another chain than %s: %s, not %s", genesisFile, have, hash).hint("put back the one that belongs here")
	}
	return nil
}

// cause is what went wrong with a file, without its name.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// check executes a chain on nothing but its genesis.
type check struct {
	genesis chain.Genesis
	hash    bft.GenesisHash
	state   chain.State
	nodes   memory
	txs     int
}

// memory keeps the nodes of states as they are made.
type memory map[cid.Cid][]byte

// Get implements chain.Nodes.
func (m memory) Get(id cid.Cid) ([]byte, error) {
	if b, ok := m[id]; ok {
		return b, nil
	}
	return nil, fmt.Errorf("state node %s was never made", id)
}

func (m memory) put(nodes []chain.Node) {
	for _, n := range nodes {
		m[n.ID] = n.Data
	}
}

// newCheck begins at the state of height 0.
func newCheck(g chain.Genesis) (*check, error) {
	hash, err := g.Hash()
	if err != nil {
		return nil, err
	}
	state, nodes, err := g.State()
	if err != nil {
		return nil, err
	}
	c := &check{genesis: g, hash: hash, nodes: make(memory)}
	c.nodes.put(nodes)
	c.state = state.On(c.nodes)
	return c, nil
}

// execute checks what makes a block final and every signature in it, then
// executes it, which compares all its roots. It returns what that gave.
func (c *check) execute(h chain.Header, body chain.Body, cert bft.CommitCert) (store.Final, error) {
	none := store.Final{}
	if tip := c.state.Tip(); h.Height != tip.Height+1 || h.Parent != tip.ID {
		return none, fmt.Errorf("it does not follow block %d, %s", tip.Height, tip.ID)
	}
	id, err := h.ID()
	if err != nil {
		return none, err
	}
	if cert.Block != id {
		return none, fmt.Errorf("its certificate is for %s", cert.Block)
	}
	v := bft.Verifier{Scheme: bft.ZIP215{}, Genesis: c.hash, Height: h.Height, Set: c.state.Validators(), Entropy: rand.Reader}
	if err := v.CommitCert(&cert); err != nil {
		return none, err
	}
	block, err := body.Verify(bft.ZIP215{}, rand.Reader, c.hash, h)
	if err != nil {
		return none, err
	}
	result, err := chain.Apply(c.state, block)
	if err != nil {
		return none, err
	}
	c.nodes.put(result.Nodes)
	c.state = result.State.On(c.nodes)
	c.txs += len(block.Txs)
	return store.Final{Block: block, Cert: cert, Result: result}, nil
}

// compare checks that the store's head is where the chain ended.
func (c *check) compare(s *store.Store) error {
	head, err := s.Head()
	if err != nil {
		return err
	}
	if head.StateRoot != c.state.Root() || head.Tip != c.state.Tip() {
		return failedf("the store's head is block %d with state %s, its blocks end at %d with %s",
			head.Height, head.StateRoot, c.state.Tip().Height, c.state.Root())
	}
	return c.state.Check()
}

func (c *check) report() checked {
	t := c.state.Totals()
	return checked{
		Network: c.genesis.Network, Genesis: c.hash.String(), Height: view.Height(c.state.Tip().Height),
		Block: view.CID{Cid: c.state.Tip().ID}, StateRoot: view.CID{Cid: c.state.Root()}, Transactions: c.txs,
		Totals: view.Totals{
			SupplyUATP: t.Supply, AvailableUATP: t.Available, LockedUATP: t.Locked, BondedUATP: t.Bonded,
			PoolUATP: t.Pool, DischargedUATP: t.Discharged,
		},
	}
}
