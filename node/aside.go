package node

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/node/signer"
	"github.com/sage-p2p/sage-p2p/p2p"
)

// A federation in which nothing but its own founding has happened gives way to
// another of its name (givesWay). Its platform sets the chain aside: store,
// genesis and the record of what was signed move to a folder of the home, where
// they stay, and the key is bound to the other federation.
//
// That is safe, since
//
//	W1  whether anything would be lost is judged from this platform's own chain,
//	    when nothing can be added to it any more (unused);
//	W2  what was signed for a chain contradicts nothing in another, as every
//	    signature covers the genesis hash; and the key never returns to a chain
//	    that it left (signer, K8);
//	W3  it is decided by one write, of leavingFile. From then on every start
//	    carries out all steps before anything else, and each step may be repeated;
//	W4  no file is removed or written over, except the one that decided.
const leavingFile = "leaving.json"

// leaving is the content of leavingFile.
type leaving struct {
	Genesis string `json:"genesis"` // hex: of the federation that is left
	Aside   string `json:"aside"`   // folder in the home
	For     string `json:"for"`     // hex: the federation that it gives way to
}

// maxFounding is how many blocks a founding has at most: a platform registers, and
// its operator may have corrected that.
const maxFounding = 8

// unused reports whether nothing but its founding has ever happened in a chain:
// one platform founded it alone, every final block holds only what it registered,
// and nothing else has been asked for here. A record that has seen more than the
// store speaks against it: the store has lost something.
func unused(g chain.Genesis, s *store.Store, spoken bft.Height) (bool, error) {
	if len(g.Founders) != 1 {
		return false, nil
	}
	head, err := s.Head()
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	if spoken > head.Height || head.Height > maxFounding {
		return false, nil
	}
	for b, err := range s.Blocks(1) {
		if err != nil {
			return false, err
		}
		for _, tx := range b.Block.Txs {
			if t := tx.Tx(); t.From != g.Founders[0].ID || !registersOnly(t) {
				return false, nil
			}
		}
	}
	locals, err := s.Locals()
	if err != nil {
		return false, err
	}
	for _, tx := range locals {
		if !registersOnly(tx.Tx()) {
			return false, nil
		}
	}
	return true, nil
}

// registersOnly reports whether a transaction does nothing but what every platform
// does by itself.
func registersOnly(t chain.Transaction) bool {
	for _, op := range t.Ops {
		if _, ok := op.Action.(*chain.PlatformRegister); !ok {
			return false
		}
	}
	return true
}

// wouldLeave judges, from the chain on the disk, whether this platform would leave
// its federation. An operator who has named it, or founds with others, has chosen;
// a platform that liars have led astray stays where it is for a while, and one whose
// record peers contradict does not know what it would leave.
func (n *Node) wouldLeave(g chain.Genesis) (bool, error) {
	if n.cfg.GenesisFile != "" || n.invite != nil || n.cfg.Expect > 0 || n.signer.Silenced() != "" || len(n.signer.Left()) >= signer.MaxLeft || n.life.failures() >= maxFailed {
		return false, nil
	}
	return unused(g, n.store, n.signer.Watermark().Height)
}

// stand says, from the chain on the disk, where the platform stands when others
// meet it. It comes before they hear of its federation.
func (n *Node) stand(g chain.Genesis) error {
	would, err := n.wouldLeave(g)
	if err != nil {
		return err
	}
	n.host.SetNote(noteOf(would))
	return nil
}

// decideToLeave writes down that the platform leaves its federation for another,
// if nothing has happened in it. Nothing is added to the chain any more (W1, W3).
func (n *Node) decideToLeave(f *forAnother) error {
	g, _, err := n.storedGenesis()
	if err != nil {
		return err
	}
	if ok, err := n.wouldLeave(g); err != nil || !ok {
		return err
	}
	hash, err := g.Hash()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	raw, err := json.MarshalIndent(leaving{
		Genesis: hash.String(), For: f.genesis.String(),
		Aside: "aside-" + time.Now().UTC().Format("20060102T150405.000Z"),
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("node: leaving: %w", err)
	}
	return writeDurably(n.cfg.Home, leavingFile, append(raw, '\n'))
}

// forAnother ends the running part of a platform that gives way.
type forAnother struct {
	genesis p2p.Genesis
	text    string
}

func (f *forAnother) Error() string { return "node: " + f.text }

// finishLeaving carries out what an earlier life has decided (W3).
func (n *Node) finishLeaving() error {
	heading, text, err := finishLeaving(n.cfg.Home, n.signer)
	if n.heading = heading; text != "" {
		n.log.Warn("left", "text", text)
		n.hub.alarm(text)
	}
	return err
}

// finishLeaving returns the federation for which another was left, and what to
// tell: nothing if no earlier life has decided to leave.
func finishLeaving(home string, s *signer.Signer) (p2p.Genesis, string, error) {
	raw, err := os.ReadFile(filepath.Join(home, leavingFile))
	if errors.Is(err, fs.ErrNotExist) {
		return p2p.Genesis{}, "", nil
	} else if err != nil {
		return p2p.Genesis{}, "", fmt.Errorf("node: leaving: %w", err)
	}
	l, left, other, err := readLeaving(raw)
	if err != nil {
		return p2p.Genesis{}, "", fmt.Errorf("node: leaving: %s is damaged (%w): remove it, and what it began is begun again", leavingFile, err)
	}
	for _, step := range leavingSteps(home, l, left, s) {
		if err := step(); err != nil {
			return p2p.Genesis{}, "", err
		}
	}
	return other, fmt.Sprintf("this platform has left the federation %s, in which nothing had happened, for %s; its chain is kept in %s", l.Genesis, l.For, aside(home, l)), nil
}

func aside(home string, l leaving) string { return filepath.Join(home, l.Aside) }

func readLeaving(raw []byte) (l leaving, left bft.GenesisHash, other p2p.Genesis, err error) {
	if err := json.Unmarshal(raw, &l); err != nil {
		return l, left, other, err
	}
	for _, x := range []struct {
		text string
		into []byte
	}{{l.Genesis, left[:]}, {l.For, other[:]}} {
		if b, err := hex.DecodeString(x.text); err != nil || copy(x.into, b) != len(b) || len(b) != len(x.into) {
			return l, left, other, fmt.Errorf("%q is no genesis hash", x.text)
		}
	}
	if filepath.Base(l.Aside) != l.Aside || l.Aside == "." || l.Aside == ".." {
		return l, left, other, fmt.Errorf("%q is no folder of the home", l.Aside)
	}
	return l, left, other, nil
}

// leavingSteps are what leaving a federation takes, in order. Power may go between
// any two, and within each: all begin again then.
func leavingSteps(home string, l leaving, left bft.GenesisHash, s *signer.Signer) []func() error {
	aside := aside(home, l)
	return []func() error{
		func() error { return openFolder(aside) },
		func() error { return syncDir(home) },
		func() error { return keepRecord(home, aside, left, s) },
		func() error { return moveDurably(home, aside, "store") },
		func() error { return moveDurably(home, aside, genesisFile) },
		func() error {
			if err := s.Leave(left); err != nil {
				return fmt.Errorf("node: leaving: %w", err)
			}
			return nil
		},
		func() error { return removeDurably(home, leavingFile) },
	}
}

// keepRecord copies the record of what was signed, while it is that of the chain
// that is left: with it, the chain could be taken up again by hand.
func keepRecord(home, aside string, left bft.GenesisHash, s *signer.Signer) error {
	if s.Genesis() != left {
		return nil
	}
	raw, err := os.ReadFile(filepath.Join(home, signer.RecordFile))
	if err != nil {
		return fmt.Errorf("node: leaving: %w", err)
	}
	return writeDurably(aside, signer.RecordFile, raw)
}

// moveDurably moves a file or folder from one folder into another, unless it has
// gone already.
func moveDurably(from, to, name string) error {
	err := os.Rename(filepath.Join(from, name), filepath.Join(to, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("node: leaving: %w", err)
	}
	return errors.Join(syncDir(to), syncDir(from))
}
