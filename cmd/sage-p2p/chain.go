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
		Subcommands: []*cli.Command{{
			Name:  "check",
			Usage: "execute a stopped node's chain again, from its genesis, and compare",
			Action: func(c *cli.Context) error {
				if err := countArgs(c, 0, 0); err != nil {
					return err
				}
				report, err := p.checkHome(c.Context, c.String("home"))
				if err != nil {
					return err
				}
				return p.show(c, report, func(w io.Writer) {
					fmt.Fprintf(w, "the chain is whole: %s executed again, every signature and certificate checked\n", plural(int(report.Height), "block", "blocks"))
					facts(w,
						[2]string{"network", clean(report.Network)},
						[2]string{"height", fmt.Sprint(report.Height)},
						[2]string{"block", report.Block.String()},
						[2]string{"state root", report.StateRoot.String()},
						[2]string{"supply", coins(report.Totals.SupplyUATP)},
					)
				})
			},
		}},
	}
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
func (p program) checkHome(ctx context.Context, home string) (report checked, err error) {
	genesis, err := readGenesis(filepath.Join(home, genesisFile))
	if errors.Is(err, fs.ErrNotExist) {
		return checked{}, failedf("there is no chain in %s: it has no %s", home, genesisFile).hint("name the folder of a node with --home")
	}
	if err != nil {
		return checked{}, err
	}
	dir := filepath.Join(home, "store")
	if _, err := os.Stat(dir); err != nil {
		return checked{}, failedf("there is no chain in %s: %v", home, cause(err))
	}
	s, err := store.Open(dir, store.Edge)
	if errors.Is(err, store.ErrInUse) {
		return checked{}, (&refusal{code: exitUnsafe, message: fmt.Sprintf("a node is running in %s, and its chain cannot be read beside it", home)}).
			hint("end it with: sage-p2p stop")
	}
	if err != nil {
		return checked{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	c, err := begin(s, genesis)
	if err != nil {
		return checked{}, err
	}
	for final, err := range s.Blocks(1) {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return checked{}, err
		}
		if err := c.execute(final); err != nil {
			return checked{}, failedf("block %d does not hold: %v", final.Block.Header.Height, err).
				hint("set the folder %s aside: the node then fetches the chain from the others", dir)
		}
	}
	return c.report(), c.compare(s)
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

// begin makes the state of height 0, which must be the one of the store.
func begin(s *store.Store, g chain.Genesis) (*check, error) {
	hash, err := g.Hash()
	if err != nil {
		return nil, err
	}
	have, err := s.Genesis()
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, failedf("the store is empty: the node never began its chain").hint("start it once with: sage-p2p up")
	case err != nil:
		return nil, err
	case have != hash:
		return nil, failedf("the store is of another chain than %s: %s, not %s", genesisFile, have, hash).hint("put back the one that belongs here")
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
// executes it, which compares all its roots.
func (c *check) execute(final store.FinalBlock) error {
	h := final.Block.Header
	if tip := c.state.Tip(); h.Height != tip.Height+1 || h.Parent != tip.ID {
		return fmt.Errorf("it does not follow block %d, %s", tip.Height, tip.ID)
	}
	id, err := h.ID()
	if err != nil {
		return err
	}
	if final.Cert.Block != id {
		return fmt.Errorf("its certificate is for %s", final.Cert.Block)
	}
	v := bft.Verifier{Scheme: bft.ZIP215{}, Genesis: c.hash, Height: h.Height, Set: c.state.Validators(), Entropy: rand.Reader}
	if err := v.CommitCert(&final.Cert); err != nil {
		return err
	}
	block, err := final.Block.Body().Verify(bft.ZIP215{}, rand.Reader, c.hash, h)
	if err != nil {
		return err
	}
	result, err := chain.Apply(c.state, block)
	if err != nil {
		return err
	}
	c.nodes.put(result.Nodes)
	c.state = result.State.On(c.nodes)
	c.txs += len(block.Txs)
	return nil
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
