package node

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/p2p"
)

const (
	meetPause = 200 * time.Millisecond // between two judgements, whatever comes
	maxRivals = 4                      // other federations that are told of one by one
)

// meeting is a platform's part in the meeting of federations of one name.
type meeting struct {
	n       *Node
	r       *running
	genesis chain.Genesis
	ours    p2p.Genesis
	told    map[p2p.Genesis]bool // of which the operator knows; at most maxRivals
}

// rival is another federation of this name, by what its platforms say.
type rival struct {
	genesis  p2p.Genesis
	yields   bool
	founders bool // our own founder is in it
}

// meet watches for other federations of this name, until ctx ends or ours gives way
// to one: then it returns a *forAnother.
func (r *running) meet(n *Node) error {
	g, err := chain.ParseGenesis(r.genesisJSON)
	if err != nil {
		return ours(err)
	}
	m := meeting{n, r, g, p2p.Genesis(r.genesis), map[p2p.Genesis]bool{}}
	for {
		changed := n.hub.Changed()
		if err := m.judge(); err != nil {
			return err
		}
		if r.state().Tip().Height > maxFounding {
			changed = nil // it is used, for good
		}
		select {
		case <-r.ctx.Done():
			return nil
		case <-n.met:
		case <-changed:
		}
		if !sleep(r.ctx, meetPause) {
			return nil
		}
	}
}

// judge tells others where we stand, and looks at each other federation.
func (m *meeting) judge() error {
	would, err := m.n.wouldLeave(m.genesis)
	if err != nil {
		return ours(err)
	}
	m.n.host.SetNote(noteOf(would))
	for _, o := range m.rivals() {
		switch {
		case slices.Contains(m.n.signer.Left(), bft.GenesisHash(o.genesis)):
		case m.leaves(would, o) && !m.n.life.avoids(o.genesis):
			return &forAnother{o.genesis, fmt.Sprintf("nothing has happened in the federation %s: it gives way to %s", m.ours, o.genesis)}
		case !o.yields && (!would || m.n.life.avoids(o.genesis)):
			m.tell(o)
		}
	}
	return nil
}

func noteOf(would bool) byte {
	if would {
		return noteYields
	}
	return 0
}

// leaves reports whether this platform leaves its federation for another. The
// founder decides that; others, who are only watching, follow it.
func (m *meeting) leaves(would bool, o rival) bool {
	if m.genesis.Founders[0].ID == m.n.id() {
		return givesWay(m.ours, would, o.genesis, o.yields)
	}
	return would && o.founders && m.r.isCurrent()
}

// rivals returns the other federations of this name nearby, by genesis.
func (m *meeting) rivals() (list []rival) {
	for _, r := range m.n.strangers(m.n.near()) {
		i := slices.IndexFunc(list, func(o rival) bool { return o.genesis == r.Genesis })
		if i < 0 {
			i, list = len(list), append(list, rival{genesis: r.Genesis, yields: true})
		}
		list[i].yields = list[i].yields && r.Note == noteYields
		list[i].founders = list[i].founders || atp.ID{ID: r.ID} == m.genesis.Founders[0].ID
	}
	slices.SortFunc(list, func(a, b rival) int { return bytes.Compare(a.genesis[:], b.genesis[:]) })
	return list
}

// tell alarms the operator about another federation, once.
func (m *meeting) tell(o rival) {
	if m.told[o.genesis] || len(m.told) > maxRivals {
		return
	}
	m.told[o.genesis] = true
	if len(m.told) > maxRivals {
		m.n.hub.alarm(fmt.Sprintf("more than %d other federations named %q are on this network: see them with sage-p2p federation list", maxRivals, m.genesis.Network))
		return
	}
	m.n.hub.alarm(fmt.Sprintf("another federation named %q is on this network: its genesis is %s, ours %s. They are never merged. To have one, stop the platforms of the one that you do not want, "+
		"and start each with a new --home and with --bootstrap ADDR of a platform of the other; to have both, leave them as they are", m.genesis.Network, o.genesis, m.ours))
}
