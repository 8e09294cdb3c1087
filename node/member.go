package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// resignedFile says that the operator gave the platform's vote back, so that
// the node does not ask for it again.
const resignedFile = "resigned"

const (
	// defaultCandidacy is how long a JOIN of ours lasts: less than it may, so that
	// a clock that is a little ahead does no harm.
	defaultCandidacy = chain.MaxCandidacy - 10*atp.Second
	// memberPause is the pause before a JOIN that could not be made is tried
	// again.
	memberPause = 5 * time.Second
)

// member sees to it that this platform gets a vote where it may: under admission
// auto, or once it was voted for. It sends a VALIDATOR_JOIN, and once its candidacy is over it
// sends another only when a block shows another candidate, so that two machines,
// of which one validates and the other waits, fall silent. As a validator it sends
// one when the others miss it: that counts as alive.
type member struct {
	n *Node
	r *running

	tx    cid.Cid // a JOIN on its way, or undefined
	asked bool    // a JOIN of this run is final
	voted bool    // it had a vote when it was last looked
}

// run asks for a vote until ctx ends, once the chain here is a new one: of an
// old one nobody knows who has a vote.
func (m *member) run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-m.r.current:
	}
	if m.n.cfg.Observer && m.r.state().Validators().Contains(bft.ID(m.n.id())) {
		m.n.hub.alarm("this platform has a vote, and was started with --observer: the others wait for it in vain; give the vote back with sage-p2p validator leave")
	}
	for {
		changed := m.n.hub.Changed()
		if err := m.look(ctx); err != nil {
			return ours(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// look does what the newest block makes necessary. It fails for our own disk's
// fault alone.
func (m *member) look(ctx context.Context) error {
	s, err := m.standing()
	if err != nil {
		return err
	}
	now := atp.Millis(nowMillis())
	m.asked = m.asked || s.until >= now // perhaps before the start
	if !s.joins(now) {
		return nil
	}
	if _, waits, err := m.n.ownPending(isJoin); err != nil || waits {
		return err // one of before the start, which lasts a minute
	}
	tx, err := m.r.wallet.submit(ctx, &chain.ValidatorJoin{}, m.n.joinEnds(m.r.state()))
	var no *view.Error
	switch {
	case err == nil:
		m.tx = tx.ID()
		m.n.log.Info("asks for a vote", "tx", m.tx)
	case errors.As(err, &no):
		m.n.log.Info("could not ask for a vote", "err", err)
		if sleep(ctx, memberPause) {
			m.n.hub.tell() // that wakes us too
		}
	case ctx.Err() == nil:
		return err
	}
	return nil
}

func isJoin(a chain.Action) bool { return a.Kind() == chain.OpValidatorJoin }

// joinEnds is when a JOIN made now expires.
func (n *Node) joinEnds(s chain.State) atp.Millis {
	return max(atp.Millis(nowMillis()), s.Tip().Time).Add(n.candidacy)
}

// standing is all that decides whether this platform asks for a vote.
type standing struct {
	wants   bool // as the genesis and the operator have it
	votes   bool
	missed  bool // it has a vote, and half as many certificates lack it as cost that
	able    bool // registered, and with its bond
	waits   bool // a JOIN is on its way
	asked   bool // one was final, in this run
	until   atp.Millis
	another atp.Millis // until when another is a candidate; 0: none is
}

// joins reports whether a JOIN is to be sent now.
func (s standing) joins(now atp.Millis) bool {
	switch {
	case s.votes:
		return s.missed && !s.waits
	case !s.wants || !s.able || s.waits || s.until >= now:
		return false
	case !s.asked:
		return true
	}
	return s.another >= now
}

// standing reads the newest state.
func (m *member) standing() (s standing, err error) {
	state := m.r.state()
	s.votes = state.Validators().Contains(bft.ID(m.n.id()))
	if m.voted && !s.votes {
		if err := m.lostVote(state); err != nil {
			return s, err
		}
	}
	m.voted = s.votes
	if s.wants, _, err = state.Admitted(m.n.id()); err != nil {
		return s, err
	}
	s.wants = s.wants && !m.n.cfg.Observer && !m.n.resigned.Load() && m.n.signer.Silenced() == ""
	if !s.wants {
		m.asked, m.tx = false, cid.Undef
		return s, nil
	}
	if s.waits, err = m.underWay(); err != nil {
		return s, err
	}
	if s.votes {
		m.asked = false // should it lose its vote, it asks again
		missing, err := absences(state, m.n.id())
		s.missed = missing >= state.Params().Membership.AbsentBlocks/2
		return s, err
	}
	s.asked = m.asked
	err = state.EachCandidate(func(id atp.ID, c chain.Candidate) error {
		if id == m.n.id() {
			s.until = c.Until
		} else {
			s.another = max(s.another, c.Until)
		}
		return nil
	})
	if err == nil {
		s.able, err = m.able(state)
	}
	return s, err
}

// underWay follows the newest JOIN, and reports whether it can become final yet.
func (m *member) underWay() (bool, error) {
	if !m.tx.Defined() {
		return false, nil
	}
	_, gaveUp := m.r.wallet.gaveUp(m.tx) // before looking: what is final has been given up too
	tx, final, err := m.n.finalTx(m.tx)
	switch {
	case err != nil:
		return false, err
	case final:
		m.asked, m.tx = true, cid.Undef
		if !tx.Receipt.OK() {
			m.n.hub.alarm(fmt.Sprintf("this platform asked for a vote, and was refused in block %d: %s", tx.Height, tx.Receipt.Detail))
		}
		return false, nil
	case gaveUp:
		m.tx = cid.Undef
		return false, nil
	}
	return true, nil
}

// lostVote keeps a platform that was punished from joining again by itself: as long
// as nobody knows why its key contradicted itself, it would lose bond after bond.
func (m *member) lostVote(state chain.State) error {
	bonded, err := hasBond(state, m.n.id())
	now, e := state.Newest(m.n.id())
	if err != nil || e != nil || bonded || now != m.n.id() || state.Params().ValidatorBond == 0 {
		return errors.Join(err, e)
	}
	m.n.hub.alarm("this platform has lost its vote and its bond: others have shown two statements of its key that contradict each other. " +
		"The key is in use elsewhere, or its disk was restored: see sage-p2p key rotate; then sage-p2p validator join, with a new bond")
	return m.n.resign(true)
}

// absences returns how many certificates in a row lack a validator.
func absences(state chain.State, id atp.ID) (uint64, error) {
	a, missing, err := state.Absence(id)
	if err != nil || !missing {
		return 0, err
	}
	return a.Blocks(state.Tip().Height), nil
}

// able reports whether a JOIN would be admitted: the platform is registered and
// can set its bond aside.
func (m *member) able(state chain.State) (bool, error) {
	account, err := state.Account(m.n.id())
	if err != nil {
		return false, err
	}
	_, registered, err := state.Platform(m.n.id())
	bond, bonded := state.Params().ValidatorBond, false
	if err == nil {
		bonded, err = hasBond(state, m.n.id())
	}
	if bonded {
		bond = 0
	}
	need, tooMuch := bond.Add(state.Params().MinFee)
	return registered && tooMuch == nil && account.Available >= need, err
}

// hasBond reports whether a platform without a vote has its bond set aside: as a
// candidate, or since it had one.
func hasBond(state chain.State, id atp.ID) (bool, error) {
	_, candidate, err := state.Candidate(id)
	if err != nil || candidate {
		return candidate, err
	}
	_, held, err := state.Held(id)
	return held, err
}

// resign notes on the disk whether the operator gave the vote back.
func (n *Node) resign(yes bool) (err error) {
	if yes {
		err = writeDurably(n.cfg.Home, resignedFile, nil)
	} else {
		err = removeDurably(n.cfg.Home, resignedFile)
	}
	if err == nil {
		n.resigned.Store(yes)
	}
	return err
}

// JoinValidators implements api.Wallet.
func (n *Node) JoinValidators(ctx context.Context) (view.Submission, error) {
	r, err := n.ready()
	if err != nil {
		return view.Submission{}, err
	}
	state := r.state()
	if err := n.mayJoin(r, state); err != nil {
		return view.Submission{}, err
	}
	if err := n.resign(false); err != nil {
		return view.Submission{}, err
	}
	tx, err := r.wallet.submit(ctx, &chain.ValidatorJoin{}, n.joinEnds(state))
	return view.Submission{TxID: viewCID(tx.ID())}, err
}

// mayJoin refuses what the ledger would.
func (n *Node) mayJoin(r *running, state chain.State) error {
	no := func(hint, format string, args ...any) error {
		return &view.Error{Code: view.CodeRefused, Message: fmt.Sprintf(format, args...), Hint: hint, Height: view.Height(state.Tip().Height)}
	}
	v, votes, err := state.Validator(n.id())
	if err != nil {
		return err
	}
	_, registered, err := state.Platform(n.id())
	if err != nil {
		return err
	}
	bonded, err := hasBond(state, n.id())
	if err != nil {
		return err
	}
	waits, err := n.awaits(state)
	switch {
	case err != nil:
		return err
	case n.cfg.Observer:
		return no("start it without --observer", "this platform was started as an observer")
	case votes && v.Leaving == 0:
		return no("see who else has: sage-p2p validators", "this platform has a vote already")
	case votes:
		return nil
	case waits != "":
		return no("see how the votes stand: sage-p2p validators", "%s", waits)
	case !registered:
		return no("register it: sage-p2p platform register", "only registered platforms get a vote")
	}
	if bonded {
		return n.afford(r)
	}
	return n.afford(r, state.Params().ValidatorBond)
}

// LeaveValidators implements api.Wallet. That the platform wants no vote is on
// the disk before it says so.
func (n *Node) LeaveValidators(ctx context.Context) (view.Submission, error) {
	r, err := n.ready()
	if err != nil {
		return view.Submission{}, err
	}
	state := r.state()
	if err := n.mayLeave(state); err != nil {
		return view.Submission{}, err
	}
	if err := n.resign(true); err != nil {
		return view.Submission{}, err
	}
	tx, err := r.wallet.submit(ctx, &chain.ValidatorLeave{}, 0)
	if err != nil {
		err = errors.Join(err, n.resign(false))
	}
	return view.Submission{TxID: viewCID(tx.ID())}, err
}

// mayLeave refuses what the ledger would.
func (n *Node) mayLeave(state chain.State) error {
	no := func(hint, message string) error {
		return &view.Error{Code: view.CodeRefused, Message: message, Hint: hint, Height: view.Height(state.Tip().Height)}
	}
	v, votes, err := state.Validator(n.id())
	if err != nil {
		return err
	}
	_, candidate, err := state.Candidate(n.id())
	if err != nil || candidate {
		return err
	}
	held, has, err := state.Held(n.id())
	switch {
	case err != nil || has && held.Until == 0:
		return err
	case has:
		return no("see it in sage-p2p history", "this platform has left already; its bond returns when it has answered for its vote")
	case !votes:
		return no("to keep it from asking for one, start it with --observer", "this platform has no vote, and waits for none")
	case v.Leaving != 0:
		return no("it leaves with the next that joins, or when another leaves too: sage-p2p validators", "this platform is leaving already")
	case state.Validators().Len() <= int(state.Census().Leaving)+1:
		return no("have another platform join first", "this platform is the last validator: nothing would become final without it")
	}
	return nil
}
