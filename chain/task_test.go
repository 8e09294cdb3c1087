package chain

import (
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// hired is a world in which keys[2] is registered and keys[1] has posted a
// task of 50 ATP to it.
func hired(t *testing.T) (*world, cid.Cid) {
	t.Helper()
	w := newWorld(t, 4)
	w.block(w.tx(2, &PlatformRegister{Platform: registration("founder-2")}))
	tm := terms(50 * atp.ATP)
	tm.Executor = atp.OptionalID{ID: w.keys[2].id}
	post := w.tx(1, &FederationTask{Terms: tm})
	r := w.only(w.block(post))
	if !r.OK() {
		t.Fatal(r.Detail)
	}
	id, err := TaskID(w.state.Genesis(), post.Tx(), 0)
	must(t, err)
	if _, ok, err := w.state.Task(id); err != nil || !ok {
		t.Fatalf("the task is not open: %v", err)
	}
	if l, ok, err := w.state.Lock(id); err != nil || !ok || !l.Task || l.Amount != 51_500_000 {
		t.Fatalf("its lock is %+v, %v, %v", l, ok, err)
	}
	return w, id
}

func (w *world) does(by int, a Action) Receipt { return w.only(w.block(w.tx(by, a))) }

// proof names a result.
func proof(id cid.Cid) *FederationProof {
	return &FederationProof{Task: id, Proof: task.Proof{Result: atp.SumBlob([]byte("result")), Size: 6}}
}

func TestATaskLivesOnTheChain(t *testing.T) {
	accept := func(id cid.Cid) Action { return &TaskAccept{Task: id, Bond: 5 * atp.ATP} }
	prove := func(id cid.Cid) Action { return proof(id) }
	mark := func(m task.PPM) func(cid.Cid) Action {
		return func(id cid.Cid) Action { return &TaskAcknowledge{Task: id, Mark: m} }
	}
	cancel := func(id cid.Cid) Action { return &TaskCancel{Task: id} }
	type step struct {
		by   int
		make func(cid.Cid) Action // nil: time passes until the task is settled
	}
	for _, tt := range []struct {
		name                string
		steps               []step
		requester, executor string // what each has in the end
		outcome             task.Outcome
		moved               task.Role // whose reputation moves, and whether up
		up                  bool
	}{
		{"acknowledged", []step{{2, accept}, {2, prove}, {1, mark(850_000)}}, "948.5", "1050", task.Commit, task.Executor, true},
		{"met with silence", []step{{2, accept}, {2, prove}, {}}, "948.5", "1050", task.Commit, task.Executor, true},
		{"refused", []step{{2, accept}, {2, prove}, {1, mark(300_000)}}, "998.5", "1000", task.Rollback, task.Requester, false},
		{"late", []step{{2, accept}, {}}, "1000", "995", task.Rollback, task.Executor, false},
		{"cancelled", []step{{1, cancel}}, "1000", "1000", task.Rollback, "", false},
		{"accepted by nobody", []step{{}}, "1000", "1000", task.Rollback, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, id := hired(t)
			var last Receipt
			for _, s := range tt.steps {
				if s.make == nil {
					w.blockAfter(400 * atp.Second)
					last = w.only(w.block())
				} else if last = w.does(s.by, s.make(id)); !last.OK() {
					t.Fatalf("%v: %s", last.Code, last.Detail)
				}
			}
			if _, open, err := w.state.Task(id); err != nil || open {
				t.Errorf("the task is still open: %v", err)
			}
			if _, open, err := w.state.Lock(id); err != nil || open {
				t.Errorf("its lock is still open: %v", err)
			}
			if _, ok, err := w.state.NextDue(); err != nil || ok {
				t.Errorf("something is still due: %v", err)
			}
			if got := w.available(1).String(); got != tt.requester {
				t.Errorf("the requester has %s ATP, want %s", got, tt.requester)
			}
			if got := w.available(2).String(); got != tt.executor {
				t.Errorf("the executor has %s ATP, want %s", got, tt.executor)
			}
			checkSettlement(t, last, tt.outcome, tt.moved, tt.up)
		})
	}
}

func checkSettlement(t *testing.T, r Receipt, outcome task.Outcome, moved task.Role, up bool) {
	t.Helper()
	paid, found := false, moved == ""
	for _, e := range r.Events {
		switch f := e.Fact.(type) {
		case *task.Paid:
			paid = f.Outcome == outcome && e.Name() == "ATP_TRANSFER_"+string(outcome)
		case *task.ReputationChanged:
			if moved == "" {
				t.Errorf("a reputation moved: %+v", f)
			}
			found = found || f.Role == moved && (f.New > f.Old) == up
		}
	}
	if !paid || !found {
		t.Errorf("paid %s: %v; reputation of the %s moved: %v; in %+v", outcome, paid, moved, found, r.Events)
	}
}

func TestNobodyCanSettleATaskByItsLock(t *testing.T) {
	w, id := hired(t)
	for _, a := range []Action{&TransferCommit{Lock: id}, &TransferRollback{Lock: id}} {
		for by := range w.keys {
			if r := w.does(by, a); r.Code != CodeTaskLock {
				t.Errorf("%s by %d: %v", a.Kind(), by, r.Code)
			}
		}
	}
}

func TestTheSameTaskTwiceIsTwoTasks(t *testing.T) {
	w := newWorld(t, 2)
	post := &FederationTask{Terms: terms(atp.ATP)}
	tx := w.tx(1, post, post)
	if r := w.only(w.block(tx, w.tx(1, post)).with(0)); !r.OK() {
		t.Fatal(r.Detail)
	}
	seen := make(map[cid.Cid]bool)
	must(t, w.state.EachTask(func(tk task.Task) error { seen[tk.ID] = true; return nil }))
	if len(seen) != 3 {
		t.Errorf("%d tasks, want 3", len(seen))
	}
	for i := range 2 {
		if id, err := TaskID(w.state.Genesis(), tx.Tx(), i); err != nil || !seen[id] {
			t.Errorf("operation %d posted %s, which is not open: %v", i, id, err)
		}
	}
	if _, err := TaskID(w.state.Genesis(), tx.Tx(), 2); err == nil {
		t.Error("an operation that is none posted a task")
	}
}

// with returns the result with one receipt only.
func (r Result) with(i int) Result {
	r.Receipts = r.Receipts[i : i+1]
	return r
}

func TestTheStateTellsOfWhatIsInIt(t *testing.T) {
	w, id := hired(t)
	w.does(2, &TaskAccept{Task: id, Bond: 5 * atp.ATP})
	w.does(2, proof(id))
	w.does(1, &TaskAcknowledge{Task: id, Mark: 1_000_000})
	key := task.Key{Who: w.keys[2].id, Role: task.Executor, Type: task.Vision}
	e, ok, err := w.state.Evidence(key)
	if err != nil || !ok || e.For == 0 {
		t.Errorf("evidence of the executor: %+v, %v, %v", e, ok, err)
	}
	kept := 0
	must(t, w.state.EachEvidence(func(k task.Key, got task.Evidence) error {
		kept++
		if k == key && got != e {
			t.Errorf("evidence of the executor: %+v, want %+v", got, e)
		}
		return nil
	}))
	if kept != 4 { // of each party, in all and as seen by the other's society
		t.Errorf("%d records of evidence, want 4", kept)
	}
	if v, ok, err := w.state.Validator(w.keys[0].id); err != nil || !ok || v != (Validator{Bond: 100 * atp.ATP}) {
		t.Errorf("the validator is %+v, %v, %v", v, ok, err)
	}
	if _, ok, err := w.state.Validator(w.keys[1].id); err != nil || ok {
		t.Errorf("another validates: %v", err)
	}
	if p, ok, err := w.state.Platform(w.keys[2].id); err != nil || !ok || p.Name != "founder-2" {
		t.Errorf("the platform is %+v, %v, %v", p, ok, err)
	}
}
