package task_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// memory is a State that keeps everything encoded, so that two of them can be
// compared byte for byte.
type memory struct {
	values  map[string]string
	totals  atp.Totals
	members map[atp.ID]task.Member
	n       uint64 // societies
	economy task.Economy
	block   task.Block
	council task.Council

	reads, writes int
	failRead      int // the read that fails, counted from 1
}

var errDisk = errors.New("disk failed")

func (m *memory) clone() *memory {
	c := *m
	c.values = maps.Clone(m.values)
	return &c
}

func (m *memory) equal(o *memory) bool { return maps.Equal(m.values, o.values) && m.totals == o.totals }

func (m *memory) read() error {
	if m.reads++; m.reads == m.failRead {
		return errDisk
	}
	return nil
}

func (m *memory) get(key string, v atp.Value) (bool, error) {
	if err := m.read(); err != nil {
		return false, err
	}
	data, ok := m.values[key]
	if !ok {
		return false, nil
	}
	return true, atp.Decode([]byte(data), v)
}

func (m *memory) set(key string, v atp.Value) error {
	m.writes++
	data, err := atp.Encode(v)
	if len(data) > task.MaxTask {
		return fmt.Errorf("set %s: have %d bytes, want at most %d", key, len(data), task.MaxTask)
	}
	m.values[key] = string(data)
	return err
}

func (m *memory) delete(key string) error {
	m.writes++
	if _, ok := m.values[key]; !ok {
		return fmt.Errorf("delete %s: not there", key)
	}
	delete(m.values, key)
	return nil
}

func dueKey(at atp.Millis, id cid.Cid) string { return fmt.Sprintf("due/%020d/%s", at, id) }

func (m *memory) Account(id atp.ID) (a atp.Account, err error) {
	_, err = m.get("account/"+id.String(), &a)
	return a, err
}

func (m *memory) SetAccount(id atp.ID, a atp.Account) error { return m.set("account/"+id.String(), &a) }

func (m *memory) Lock(id cid.Cid) (l atp.Lock, ok bool, err error) {
	ok, err = m.get("lock/"+id.String(), &l)
	return l, ok, err
}

func (m *memory) SetLock(l atp.Lock) error                  { return m.set("lock/"+l.ID.String(), &l) }
func (m *memory) DeleteLock(id cid.Cid) error               { return m.delete("lock/" + id.String()) }
func (m *memory) Totals() atp.Totals                        { return m.totals }
func (m *memory) SetTotals(t atp.Totals)                    { m.writes++; m.totals = t }
func (m *memory) DeleteDue(at atp.Millis, id cid.Cid) error { return m.delete(dueKey(at, id)) }

func (m *memory) SetDue(at atp.Millis, id cid.Cid) error {
	m.writes++
	m.values[dueKey(at, id)] = ""
	return nil
}

func (m *memory) Task(id cid.Cid) (t task.Task, ok bool, err error) {
	ok, err = m.get("task/"+id.String(), &t)
	return t, ok, err
}

func (m *memory) SetTask(t task.Task) error             { return m.set("task/"+t.ID.String(), &t) }
func (m *memory) DeleteTask(id cid.Cid) error           { return m.delete("task/" + id.String()) }
func (m *memory) Societies() (uint64, error)            { return m.n, m.read() }
func (m *memory) Economy() task.Economy                 { return m.economy }
func (m *memory) Member(id atp.ID) (task.Member, error) { return m.members[id], m.read() }

func (m *memory) Evidence(k task.Key) (e task.Evidence, ok bool, err error) {
	ok, err = m.get("evidence/"+k.String(), &e)
	return e, ok, err
}

func (m *memory) SetEvidence(k task.Key, e task.Evidence) error {
	return m.set("evidence/"+k.String(), &e)
}
func (m *memory) DeleteEvidence(k task.Key) error { return m.delete("evidence/" + k.String()) }

func panelKey(id cid.Cid, level task.Level) string { return fmt.Sprintf("panel/%s/%d", id, level) }

func (m *memory) Panel(id cid.Cid, level task.Level) (p task.Panel, ok bool, err error) {
	ok, err = m.get(panelKey(id, level), &p)
	return p, ok, err
}

func (m *memory) SetPanel(id cid.Cid, level task.Level, p task.Panel) error {
	return m.set(panelKey(id, level), &p)
}

func (m *memory) DeletePanel(id cid.Cid, level task.Level) error {
	return m.delete(panelKey(id, level))
}

func (m *memory) Stake(id atp.ID) (s task.Stake, ok bool, err error) {
	ok, err = m.get("stake/"+id.String(), &s)
	return s, ok, err
}

func (m *memory) SetStake(id atp.ID, s task.Stake) error { return m.set("stake/"+id.String(), &s) }
func (m *memory) DeleteStake(id atp.ID) error            { return m.delete("stake/" + id.String()) }

func (m *memory) Stakers() (ids []atp.ID, err error) {
	for _, key := range m.keys("stake") {
		id, err := atp.ParseID(strings.TrimPrefix(key, "stake/"))
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	slices.SortFunc(ids, atp.Compare)
	return ids, m.read()
}

func (m *memory) Unbonding(id cid.Cid) (u task.Unbonding, ok bool, err error) {
	ok, err = m.get("unbonding/"+id.String(), &u)
	return u, ok, err
}

func (m *memory) SetUnbonding(u task.Unbonding) error { return m.set("unbonding/"+u.ID.String(), &u) }
func (m *memory) DeleteUnbonding(id cid.Cid) error    { return m.delete("unbonding/" + id.String()) }
func (m *memory) Block() task.Block                   { return m.block }
func (m *memory) Council() (task.Council, error)      { return m.council, m.read() }

// keys returns what is kept under a kind, in order.
func (m *memory) keys(kind string) []string {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(m.values)) {
		if strings.HasPrefix(key, kind+"/") {
			keys = append(keys, key)
		}
	}
	return keys
}

// check compares the totals with what is really there, and what is held for
// tasks with the tasks.
func (m *memory) check() error {
	var sum atp.Totals
	for _, key := range m.keys("account") {
		var a atp.Account
		if err := atp.Decode([]byte(m.values[key]), &a); err != nil {
			return err
		}
		sum.Available += a.Available
		sum.Locked += a.Locked
		sum.Bonded += a.Bonded
	}
	var locked, bonded atp.Amount
	for _, key := range m.keys("task") {
		t, err := task.DecodeTask([]byte(m.values[key]))
		if err != nil {
			return err
		}
		held := t.Terms.Price
		if t.Acceptance == nil {
			held += t.Fee
		}
		for _, b := range t.Bonds(m.economy) {
			bonded += b.Amount
		}
		switch lock, ok, err := m.Lock(t.ID); {
		case err != nil || !ok || !lock.Task || lock.Amount != held:
			return fmt.Errorf("task %s is %s: lock is %+v, %v, %v, want one of %s ATP", t.ID, t.Stage, lock, ok, err, held)
		}
		if _, ok := m.values[dueKey(t.Deadline, t.ID)]; !ok {
			return fmt.Errorf("task %s is %s: nothing is due at its deadline", t.ID, t.Stage)
		}
		locked += held
	}
	stakes, err := m.checkStakes()
	if err != nil {
		return err
	}
	bonded += stakes
	have, tasks, leaving := m.totals, len(m.keys("task")), len(m.keys("unbonding"))
	switch {
	case have.Available != sum.Available || have.Locked != sum.Locked || have.Bonded != sum.Bonded:
		return fmt.Errorf("totals are %+v, the accounts hold %+v", have, sum)
	case locked != sum.Locked || bonded != sum.Bonded:
		return fmt.Errorf("accounts hold %+v, the open tasks and stakes have %s ATP locked and %s ATP bonded", sum, locked, bonded)
	case len(m.keys("lock")) != tasks || len(m.keys("due")) != tasks+leaving:
		return fmt.Errorf("%d tasks, %d locks, %d unbondings, %d deadlines, want one for each", tasks, len(m.keys("lock")), leaving, len(m.keys("due")))
	}
	return have.Check()
}

// checkStakes adds up all stakes, and compares them with the seats and with what
// is on its way back.
func (m *memory) checkStakes() (sum atp.Amount, err error) {
	reserved, open := make(map[atp.ID]atp.Amount), make(map[atp.ID]uint64)
	for _, key := range m.keys("panel") {
		var p task.Panel
		if err := atp.Decode([]byte(m.values[key]), &p); err != nil {
			return 0, err
		}
		for _, s := range p.Seats {
			reserved[s.Witness] += s.Bond
			open[s.Witness]++
		}
	}
	ids, err := m.Stakers()
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		s, _, err := m.Stake(id)
		if err != nil || s.Reserved != reserved[id] || s.Open != open[id] || s.Reserved > s.Amount || s.Leaving > s.Amount {
			return 0, fmt.Errorf("the stake of %s is %+v, its seats reserve %s ATP for %d: %v", id, s, reserved[id], open[id], err)
		}
		sum += s.Amount
	}
	return sum, nil
}

// The platforms of the tests. Carl belongs to the society of bob; dora is not
// registered; eve belongs to a society that was never admitted.
var (
	alice = platform('a')
	bob   = platform('b')
	carl  = platform('c')
	dora  = platform('d')
	eve   = platform('e')
)

func platform(name byte) atp.ID { return atp.IDFromKey([32]byte{name}) }

// world is a book over a memory, and the time of the next block.
type world struct {
	m     *memory
	book  task.Book
	now   atp.Millis // of the block; its parent's is one millisecond before
	nonce uint64
}

// monday is when the tests' worlds begin.
const monday = 20_000 * atp.Millis(atp.Day)

// newWorld returns a world of five platforms with 1,000 ATP each.
func newWorld(t rapid.TB) *world {
	t.Helper()
	supply := 1_000_000 * atp.ATP
	m := &memory{
		values:  make(map[string]string),
		totals:  atp.Totals{Supply: supply, Pool: supply},
		n:       4,
		economy: task.DefaultEconomy(),
	}
	member := func(society task.Society, admitted bool) task.Member {
		return task.Member{Registered: true, Society: society, Admitted: admitted, Platform: task.Platform{
			Offers: []task.Offer{task.DefaultOffer(task.Vision)}, Runtimes: []task.Runtime{"wasm"},
		}}
	}
	m.members = map[atp.ID]task.Member{
		alice: member("a-team", true), bob: member("b-team", true), carl: member("b-team", true),
		dora: member("d-team", true), eve: member("e-team", false),
	}
	unregistered := m.members[dora]
	unregistered.Registered = false
	m.members[dora] = unregistered
	for _, id := range []atp.ID{alice, bob, carl, dora, eve} {
		if err := (atp.Ledger{State: m}).Grant(id, 1000*atp.ATP); err != nil {
			t.Fatal(err)
		}
	}
	return &world{m: m, book: task.Book{State: m}, now: monday}
}

// clock returns the time of the next block.
func (w *world) clock() atp.Clock { return atp.Clock{Parent: w.now - 1, Block: w.now} }

// after returns the clock of a block whose parent is that long after what was
// done in the current one.
func (w *world) after(d atp.Span) atp.Clock {
	return atp.Clock{Parent: w.now.Add(d), Block: w.now.Add(d + 1)}
}

// terms are those of an open task of 50 ATP.
func terms() task.Terms {
	t := task.DefaultEconomy().DefaultTerms()
	t.Type, t.Runtime, t.Price = task.Vision, "wasm", 50*atp.ATP
	t.Program, t.Input, t.InputSize = atp.SumBlob([]byte("program")), atp.SumBlob([]byte("input")), 5
	return t
}

func proof(claim ...task.PPM) task.Proof {
	p := task.Proof{Result: atp.SumBlob([]byte("result")), Size: 6}
	if len(claim) > 0 {
		p.Claim = &claim[0]
	}
	return p
}

// must returns what an operation did, which must not fail.
func must(t rapid.TB) func([]task.Event, error) []task.Event {
	return func(events []task.Event, err error) []task.Event {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return events
	}
}

// posting returns the next posting of a requester.
func (w *world) posting(by atp.ID, terms task.Terms) task.Posting {
	w.nonce++
	return task.Posting{Genesis: [32]byte{1}, Requester: by, Nonce: w.nonce, Terms: terms}
}

// to brings a task of alice's, with bob as its executor, to a stage.
func (w *world) to(t rapid.TB, stage task.Stage, terms task.Terms) cid.Cid {
	t.Helper()
	p := w.posting(alice, terms)
	id, err := p.ID()
	if err != nil {
		t.Fatal(err)
	}
	bond := w.m.economy.Charges(terms.Price, 0).MinBond(terms.Class)
	steps := []func() ([]task.Event, error){
		func() ([]task.Event, error) { return w.book.Post(p, w.clock()) },
		func() ([]task.Event, error) { return w.book.Accept(id, bob, bond, w.clock()) },
		func() ([]task.Event, error) { return w.book.Prove(id, bob, proof(), w.clock()) },
		func() ([]task.Event, error) { return w.book.Acknowledge(id, alice, terms.MinQuality, w.clock()) },
	}
	stages := []task.Stage{task.Posted, task.Accepted, task.Proven, task.Settled}
	for _, step := range steps[:slices.Index(stages, stage)+1] {
		must(t)(step())
	}
	return id
}

// paid returns the one settlement among events, or nil.
func paid(events []task.Event) *task.Paid {
	for _, e := range events {
		if p, ok := e.(*task.Paid); ok {
			return p
		}
	}
	return nil
}

// idOf returns the ID of a posting that is known to have one.
func idOf(p task.Posting) cid.Cid {
	id, err := p.ID()
	if err != nil {
		panic(err)
	}
	return id
}
