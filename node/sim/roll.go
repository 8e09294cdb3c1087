package sim

import (
	"fmt"
	"slices"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// roll is what the judge knows of the members, from headers and events alone.
type roll struct {
	sets     []bft.ValidatorSet // that decided each height, from 1 on
	until    map[atp.ID]atp.Millis
	missing  map[atp.ID]missing
	votes    map[atp.ID]map[atp.ID]chain.VoteCast // by platform and voter
	admitted map[atp.ID]bool
	heir     map[atp.ID]atp.ID     // of a key that was replaced: which has its place
	joined   map[atp.ID]bft.Height // the first height of a key that is not of the genesis
	beacon   bft.Beacon
}

// missing is since when a validator is in no certificate.
type missing struct {
	since bft.Height
	time  atp.Millis
}

func newRoll(s *Sim) roll {
	r := roll{
		sets: []bft.ValidatorSet{s.cast.state.Validators()}, until: make(map[atp.ID]atp.Millis), missing: make(map[atp.ID]missing),
		votes: make(map[atp.ID]map[atp.ID]chain.VoteCast), admitted: make(map[atp.ID]bool), heir: make(map[atp.ID]atp.ID),
		joined: make(map[atp.ID]bft.Height), beacon: s.cast.state.Beacon(),
	}
	for _, id := range s.cast.state.Validators().IDs() {
		r.admitted[atp.ID(id)] = true
	}
	return r
}

// members judges how the set changes, and that a certificate has its quorum.
func (j *judge) members(f chain.Block, cert bft.CommitCert, after chain.State, receipts []chain.Receipt) {
	set, next := j.roll.sets[len(j.roll.sets)-1], after.Validators()
	j.roll.sets = append(j.roll.sets, next)
	n, m := set.Len(), next.Len()
	if n != m {
		j.seen[fmt.Sprintf("%d → %d", n, m)]++
	}
	if q := quorumOf(n); cert.Signers.Count() < q || len(cert.Signatures) < q {
		j.fail("A1: height %d: %d of %d validators signed, want %d", cert.Height, cert.Signers.Count(), n, q)
	}
	var facts []chain.Fact
	for _, r := range receipts {
		for _, e := range r.Events {
			facts = append(facts, e.Fact)
		}
	}
	slashed, absent := 0, 0
	for _, fact := range facts {
		switch e := fact.(type) {
		case *chain.ValidatorSlashed:
			if set.Contains(bft.ID(e.ID)) { // else it waited for a vote, or had one
				slashed++
			}
		case *chain.ValidatorAbsent:
			absent++
		}
	}
	if m == 0 || m == 2 && n != 2 && slashed == 0 {
		j.fail("height %d: of %d validators %d are left", cert.Height, n, m)
	}
	for _, tx := range f.Txs {
		if _, spent := j.roll.heir[tx.Tx().From]; spent {
			j.fail("height %d: a transaction of %s, whose key was replaced", cert.Height, tx.Tx().From)
		}
	}
	j.drawn(f.Header, after)
	j.alive(f.Header, facts)
	for _, fact := range facts {
		j.member(f.Header, fact, set)
		j.answers(fact, after)
	}
	if have := n - slashed - absent; absent > 0 && (have == 2 || faultsOf(have) != faultsOf(n-slashed)) {
		j.fail("height %d: of %d validators %d are absent: f falls, or two are left", cert.Height, n-slashed, absent)
	}
	for id := range j.roll.missing {
		if !next.Contains(bft.ID(id)) {
			delete(j.roll.missing, id)
		}
	}
}

// drawn judges the beacon: a key that is younger than 32 heights, and not of the
// genesis, does not move it.
func (j *judge) drawn(h chain.Header, after chain.State) {
	from, joined := j.roll.joined[atp.ID(h.Proposer)]
	want, err := bft.NextBeacon(j.sim.cast.beacons, j.roll.beacon, h.Height, h.Proposer, h.BeaconProof, joined && h.Height < from+32)
	if err != nil || after.Beacon() != want {
		j.fail("height %d: the beacon of a proposer since %d is not what it should be: %v", h.Height, from, err)
	}
	j.roll.beacon = after.Beacon()
}

// answers judges that a bond outlives the vote that it answers for.
func (j *judge) answers(fact chain.Fact, after chain.State) {
	var id atp.ID
	var bond atp.Amount
	switch e := fact.(type) {
	case *chain.ValidatorLeft:
		id, bond = e.ID, e.Bond
	case *chain.ValidatorAbsent:
		id, bond = e.ID, e.Bond
	default:
		return
	}
	if a, err := after.Account(id); err != nil || a.Bonded < bond {
		j.fail("height %d: the bond of %s is gone with its vote: %v", after.Tip().Height, id, err)
	}
}

// alive follows who is missing.
func (j *judge) alive(h chain.Header, facts []chain.Fact) {
	for _, fact := range facts {
		if s, ok := fact.(*chain.ValidatorStays); ok {
			delete(j.roll.missing, s.ID)
		}
	}
	if h.LastCommit == nil {
		return
	}
	for i, id := range j.roll.sets[h.Height-2].IDs() {
		_, known := j.roll.missing[atp.ID(id)]
		switch {
		case h.LastCommit.Signers.Has(i):
			delete(j.roll.missing, atp.ID(id))
		case !known:
			j.roll.missing[atp.ID(id)] = missing{h.Height, h.Time}
		}
	}
}

// member judges one event about a member; set decided its block.
func (j *judge) member(h chain.Header, fact chain.Fact, set bft.ValidatorSet) {
	r, rules := &j.roll, brisk()
	switch e := fact.(type) {
	case *chain.ValidatorCandidate:
		r.until[e.ID] = e.Until
	case *chain.ValidatorJoined:
		r.joined[e.ID] = e.From
		if until := r.until[e.ID]; until < h.Time {
			j.fail("height %d: a candidate until %d enters at %d", h.Height, until, h.Time)
		}
		if j.sim.plan.Votes && !r.admitted[e.ID] {
			j.fail("height %d: %s enters, and was not voted in", h.Height, e.ID)
		}
	case *chain.ValidatorAbsent:
		a, is := r.missing[e.ID]
		if !is || uint64(h.Height+1-a.since) < rules.AbsentBlocks || h.Time < a.time.Add(rules.AbsentTime) {
			j.fail("height %d: a validator is absent that is missing since %+v", h.Height, a)
		}
		delete(r.missing, e.ID) // the next one is judged on the set that is left
	case *chain.ValidatorSlashed:
		if m := j.sim.machine(bft.ID(e.Key)); m.correct() {
			j.fail("height %d: machine %d, which is correct, is slashed", h.Height, m.index)
		}
		r.admitted[e.ID] = false
	case *chain.VoteCast:
		if r.votes[e.Platform] == nil {
			r.votes[e.Platform] = make(map[atp.ID]chain.VoteCast)
		}
		r.votes[e.Platform][e.Voter] = *e
	case *chain.PlatformAdmitted:
		if n := j.agreed(e.ID, set); n < quorumOf(set.Len()) {
			j.fail("height %d: %d of %d validators have voted %s in", h.Height, n, set.Len(), e.ID)
		}
		r.admitted[e.ID] = true
		delete(r.votes, e.ID)
	case *chain.KeyRotated:
		r.heir[e.Old] = e.New
		for _, votes := range r.votes { // each by itself
			if v, voted := votes[e.Old]; voted {
				delete(votes, e.Old)
				votes[e.New] = v
			}
		}
		r.joined[e.New] = h.Height + 1
		r.admitted[e.New], r.until[e.New] = r.admitted[e.Old], r.until[e.Old]
	}
}

// agreed counts the votes of a set for a platform.
func (j *judge) agreed(on atp.ID, set bft.ValidatorSet) (n int) {
	for _, id := range set.IDs() {
		if _, voted := j.roll.votes[on][j.roll.now(atp.ID(id))]; voted {
			n++
		}
	}
	return n
}

// now returns the key that has taken the place of one, also in this block.
func (r *roll) now(id atp.ID) atp.ID {
	for {
		heir, spent := r.heir[id]
		if !spent {
			return id
		}
		id = heir
	}
}

// faultsOf is f of n, counted up.
func faultsOf(n int) (f int) {
	for 3*(f+1)+1 <= n {
		f++
	}
	return f
}

// quorumOf is ⌈(n+f+1)/2⌉, counted up.
func quorumOf(n int) (q int) {
	for 2*q < n+faultsOf(n)+1 {
		q++
	}
	return q
}

// held returns the bonds of all who have a vote, wait for one, or had one.
func (j *judge) held(s chain.State) (sum atp.Amount, err error) {
	err = s.EachCandidate(func(_ atp.ID, c chain.Candidate) error {
		sum += c.Bond
		return nil
	})
	for _, id := range s.Validators().IDs() {
		v, _, e := s.Validator(atp.ID(id))
		if e != nil {
			return 0, e
		}
		sum += v.Bond
	}
	for _, m := range j.sim.machines {
		for _, k := range append(slices.Clone(m.former), m.key, m.nextKey()) {
			h, _, e := s.Held(atp.ID(k.id))
			if e != nil {
				return 0, e
			}
			sum += h.Bond
		}
	}
	return sum, err
}
