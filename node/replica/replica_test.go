package replica_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// fed is a federation in memory that moves in rounds: what is sent in one is
// received in the next. Nothing is random.
type fed struct {
	t       testing.TB
	genesis chain.State
	nodes   map[cid.Cid][]byte
	now     atp.Millis
	keys    []ed25519.PrivateKey
	members []*member
	mail    []func()
	cut     func(from, to int, m bft.Message) bool // true: does not arrive
	silent  func(i int) bool                       // true: answers no request
}

// member is one platform: a driver with its store.
type member struct {
	f       *fed
	index   int
	id      bft.ID
	replica *replica.Replica // nil: it is off
	record  bft.Record
	mute    string // as the disk has it
	boots   uint64

	saved   map[cid.Cid][]byte
	bodies  map[cid.Cid]chain.Block
	spoilt  map[cid.Cid]bool // bodies that the disk does not give back
	finals  []replica.Final
	local   []chain.VerifiedTx
	timers  map[replica.TimerKind]replica.Timer
	fetches []replica.Fetch
	faults  []replica.Fault
	verdict []replica.Verdict
	alarms  []replica.Alarm
	sent    int
	shared  []replica.Gossip            // sent to some alone
	slow    func(replica.Verified) bool // true: the check ends later, and is not given back here
}

func (m *member) Get(id cid.Cid) ([]byte, error) {
	if data, ok := m.saved[id]; ok {
		return data, nil
	}
	if data, ok := m.f.nodes[id]; ok {
		return data, nil
	}
	return nil, fmt.Errorf("no node %s", id)
}

func (m *member) Body(id cid.Cid) (chain.Block, bool, error) {
	if m.spoilt[id] {
		return chain.Block{}, false, errors.New("spoilt")
	}
	b, ok := m.bodies[id]
	return b, ok, nil
}

func (m *member) Cert(h bft.Height) (bft.CommitCert, bool, error) {
	if h == 0 || int(h) > len(m.finals) {
		return bft.CommitCert{}, false, nil
	}
	return m.finals[h-1].Cert, true, nil
}

func (m *member) ProveBeacon(below bft.Beacon, h bft.Height) bft.BeaconProof {
	return bft.ProveBeacon(m.f.keys[m.index], below, h)
}

const start atp.Millis = 1_700_000_000_000

// newFed returns a federation of validators, and observers after them by
// index, none of which is on.
func newFed(t testing.TB, validators, observers int) *fed {
	t.Helper()
	f := &fed{t: t, now: start + 1, nodes: make(map[cid.Cid][]byte)}
	type person struct {
		id  bft.ID
		key ed25519.PrivateKey
	}
	var people []person
	for i := range validators + observers {
		seed := sha256.Sum256(fmt.Appendf(nil, "member %d", i))
		key := ed25519.NewKeyFromSeed(seed[:])
		public := key.Public().(ed25519.PublicKey)
		people = append(people, person{bft.IDFromKey([32]byte(public)), key})
	}
	slices.SortFunc(people, func(a, b person) int { return a.id.Compare(b.id) })
	var founders []chain.Founder
	for i, p := range people {
		founders = append(founders, chain.Founder{ID: atp.ID(p.id), Name: fmt.Sprintf("member-%d", i)})
		f.keys = append(f.keys, p.key)
		f.members = append(f.members, &member{
			f: f, index: i, id: p.id, record: bft.NewRecord(),
			saved: make(map[cid.Cid][]byte), bodies: make(map[cid.Cid]chain.Block),
		})
	}
	g := chain.NewGenesis("test", start, chain.DefaultParams(chain.AdmitAuto), founders...)
	g.Validators = g.Validators[:validators]
	state, nodes, err := g.State()
	if err != nil {
		t.Fatal(err)
	}
	f.genesis = state
	for _, n := range nodes {
		f.nodes[n.ID] = n.Data
	}
	return f
}

// on starts members, and connects them with everyone who is on.
func (f *fed) on(members ...int) {
	f.t.Helper()
	for _, i := range members {
		f.members[i].boot()
	}
	for _, i := range members {
		for _, o := range f.members {
			if o.replica != nil && o.index != i && (!slices.Contains(members, o.index) || o.index > i) {
				f.members[i].take(replica.Connected{Peer: o.id})
				o.take(replica.Connected{Peer: f.members[i].id})
			}
		}
	}
}

// off cuts a member's power.
func (f *fed) off(i int) {
	f.members[i].replica = nil
	for _, o := range f.members {
		o.take(replica.Disconnected{Peer: f.members[i].id})
	}
}

func (m *member) boot() {
	m.f.t.Helper()
	m.boots++
	cfg := replica.Config{Self: m.id, Record: m.record, State: m.f.genesis, Mute: m.mute != "", Nonce: m.boots}
	if n := len(m.finals); n > 0 {
		cfg.State = m.stateAt(n)
		cfg.Below = m.stateAt(n - 1).Validators()
	}
	m.timers = make(map[replica.TimerKind]replica.Timer)
	var err error
	if m.replica, err = replica.New(cfg, m, m); err != nil {
		m.f.t.Fatal(err)
	}
	m.take(replica.Start{})
}

// stateAt returns the state after so many final blocks.
func (m *member) stateAt(n int) chain.State {
	m.f.t.Helper()
	if n == 0 {
		return m.f.genesis
	}
	head := m.finals[n-1].Block.Header
	tip, err := head.Tip()
	if err != nil {
		m.f.t.Fatal(err)
	}
	s, err := chain.OpenState(m, head.StateRoot, tip)
	if err != nil {
		m.f.t.Fatal(err)
	}
	return s
}

// take steps the replica and does what it asks for; signatures are checked at
// once.
func (m *member) take(in replica.Input) {
	m.f.t.Helper()
	inbox := []replica.Input{in}
	for len(inbox) > 0 && m.replica != nil {
		out, err := m.replica.Step(m.f.now, inbox[0])
		inbox = inbox[1:]
		if err != nil {
			m.f.t.Fatalf("member %d: %v", m.index, err)
		}
		m.persist(out.Persist)
		inbox = append(m.sign(out.Sign), inbox...)
		for _, e := range out.Send {
			m.send(e)
		}
		for _, j := range out.Verify {
			v := bft.Verifier{Scheme: bft.InsecureSimulation{}, Genesis: m.f.genesis.Genesis(), Height: j.Height, Set: j.Set}
			verified, err := v.Verify(j.Message)
			if done := (replica.Verified{Job: j, Message: verified, Err: err}); m.slow == nil || !m.slow(done) {
				inbox = append(inbox, done)
			}
		}
		for _, t := range out.Timers {
			m.timers[t.Kind] = t
		}
		for _, q := range out.Fetch {
			m.fetches = append(m.fetches, q)
			if to := m.f.find(q.Peer); m.f.silent == nil || !m.f.silent(to.index) {
				m.f.mail = append(m.f.mail, func() { to.serve(m, q) })
			}
		}
		for _, g := range out.Gossip {
			m.spread(g)
		}
		m.faults = append(m.faults, out.Publish.Faults...)
		m.verdict = append(m.verdict, out.Publish.Verdicts...)
		m.alarms = append(m.alarms, out.Publish.Alarms...)
	}
}

func (m *member) persist(p replica.Persist) {
	m.local = append(m.local, p.Local...)
	if m.mute += p.Mute; p.Return > 0 {
		m.record.Watermark, m.mute = p.Return, ""
	}
	for _, b := range p.Bodies {
		id, err := b.Header.ID()
		if err != nil {
			m.f.t.Fatal(err)
		}
		m.bodies[id] = b
	}
	if p.Final != nil {
		m.finals = append(m.finals, *p.Final)
		m.bodies[p.Final.Cert.Block] = p.Final.Block
		for _, n := range p.Final.Result.Nodes {
			m.saved[n.ID] = n.Data
		}
	}
}

func (m *member) sign(list []bft.Unsigned) []replica.Input {
	m.f.t.Helper()
	var in replica.Signed
	for _, u := range list {
		if _, err := m.record.Admit(u); err != nil {
			m.f.t.Fatalf("member %d: %v", m.index, err)
		}
		genesis := m.f.genesis.Genesis()
		s := bft.InsecureSimulation{}.Sign(m.id, u.SignedBytes(genesis))
		m.record = m.record.Keep(u, m.id, s)
		sealed, err := bft.Verifier{Scheme: bft.InsecureSimulation{}, Genesis: genesis, Height: u.Height}.Seal(u, m.id, s)
		if err != nil {
			m.f.t.Fatal(err)
		}
		in.Messages = append(in.Messages, sealed)
	}
	if len(list) == 0 {
		return nil
	}
	return []replica.Input{in}
}

func (m *member) send(e replica.Envelope) {
	for _, id := range e.To {
		to := m.f.find(id)
		m.sent++
		if m.f.cut != nil && m.f.cut(m.index, to.index, e.Message) {
			continue
		}
		m.f.mail = append(m.f.mail, func() { to.take(replica.Received{From: m.id, Message: e.Message}) })
	}
}

func (m *member) spread(g replica.Gossip) {
	if len(g.To) > 0 {
		m.shared = append(m.shared, g)
	}
	for _, to := range m.f.members {
		if to != m && (len(g.To) == 0 || slices.Contains(g.To, to.id)) {
			if m.f.cut != nil && len(g.To) == 0 && m.f.cut(m.index, to.index, nil) {
				continue
			}
			m.f.mail = append(m.f.mail, func() { to.take(replica.Transactions{From: m.id, Txs: g.Txs}) })
		}
	}
}

// serve answers a request as a driver does: from the store, else from the replica.
func (m *member) serve(asker *member, q replica.Fetch) {
	got := replica.Fetched{Fetch: q}
	for h := q.Want.Range.From; h >= 1 && h <= q.Want.Range.To && int(h) <= len(m.finals); h++ {
		f := m.finals[h-1]
		got.Blocks = append(got.Blocks, replica.FetchedBlock{Block: f.Block, Cert: &f.Cert})
	}
	if b, ok := m.bodies[q.Want.Block]; ok {
		got.Blocks = []replica.FetchedBlock{{Block: b}}
	}
	if m.replica != nil && len(q.Want.Txs) > 0 {
		out, err := m.replica.Step(m.f.now, replica.Asked{From: asker.id, Request: 7, Want: q.Want})
		if err != nil || len(out.Answers) != 1 || out.Answers[0].Request != 7 {
			m.f.t.Fatalf("asked: %+v, %v", out.Answers, err)
		}
		got.Txs = out.Answers[0].Txs
	}
	if m.replica == nil {
		got = replica.Fetched{Fetch: q}
	}
	m.f.mail = append(m.f.mail, func() { asker.take(got) })
}

func (f *fed) find(id bft.ID) *member {
	return f.members[slices.IndexFunc(f.members, func(m *member) bool { return m.id == id })]
}

// round delivers what was sent in the last one.
func (f *fed) round() {
	mail := f.mail
	f.mail = nil
	f.now++
	for _, deliver := range mail {
		deliver()
	}
}

// quiet runs rounds until nothing is under way any more, and nobody who has just
// started listens to the others.
func (f *fed) quiet() {
	f.t.Helper()
	for range 1000 {
		if len(f.mail) > 0 {
			f.round()
		} else if f.fire(replica.TimerListen) == 0 {
			return
		}
	}
	f.t.Fatal("it never becomes quiet")
}

// fire lets the timers of a kind run out, on every member that has one, and
// returns how many did.
func (f *fed) fire(k replica.TimerKind) (fired int) {
	for _, m := range f.members {
		if t, ok := m.timers[k]; ok && m.replica != nil {
			delete(m.timers, k)
			f.now = f.now.Add(t.After(replica.MinBase))
			m.take(replica.TimerFired{Timer: t})
			fired++
		}
	}
	return fired
}

// pay returns a signed transfer.
func (f *fed) pay(from int, nonce uint64) chain.VerifiedTx { return f.sign(from, nonce, 0) }

// lax is a scheme under which a message has many signatures: the last byte is
// free.
type lax struct{ bft.InsecureSimulation }

func (l lax) Verify(c bft.Claim) bool {
	want := l.Sign(c.Signer, c.Message)
	return bytes.Equal(want[:63], c.Signature[:63])
}

// sign returns a transfer with one of its signatures.
func (f *fed) sign(from int, nonce uint64, last byte) chain.VerifiedTx {
	f.t.Helper()
	m := f.members[from]
	tx := chain.Transaction{
		Version: chain.TxVersion, From: atp.ID(m.id), Nonce: nonce,
		Ops: []chain.Op{{Action: &chain.Transfer{To: atp.ID(f.members[0].id), Amount: 5}}},
	}
	v, err := chain.SignTx(lax{}, f.genesis.Genesis(), tx, func(message []byte) (bft.Signature, error) {
		s := bft.InsecureSimulation{}.Sign(m.id, message)
		s[63] ^= last
		return s, nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return v
}

func (f *fed) submit(at int, tx chain.VerifiedTx) {
	f.members[at].take(replica.Transactions{Txs: []chain.VerifiedTx{tx}, Local: true})
}

// leads is the index of the leader of a view of a height.
func (f *fed) leads(h bft.Height, v bft.View) int {
	return f.find(f.genesis.Validators().Leader(h, v)).index
}

// wantHeights fails unless the members have so many final blocks, and equal ones.
func (f *fed) wantHeights(want ...int) {
	f.t.Helper()
	for i, n := range want {
		if have := len(f.members[i].finals); have != n {
			f.t.Errorf("member %d has %d final blocks, want %d", i, have, n)
		}
		for h := range min(len(f.members[i].finals), len(f.members[0].finals)) {
			if a, b := f.members[i].finals[h].Cert.Block, f.members[0].finals[h].Cert.Block; a != b {
				f.t.Errorf("height %d: member %d has %s, member 0 %s", h+1, i, a, b)
			}
		}
	}
}
