package chain

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// TestEveryRefusalHasACode reads the refusals of the packages below from their
// sources: one without a code would be told as "refused".
func TestEveryRefusalHasACode(t *testing.T) {
	declared := regexp.MustCompile(`(?m)^\s*(Err\w+) += fmt\.Errorf\(.*ErrRefused\)$`)
	ours, err := os.ReadFile("receipt.go")
	must(t, err)
	found := 0
	for _, pkg := range []string{"atp", "task"} {
		source, err := os.ReadFile("../" + pkg + "/errors.go")
		must(t, err)
		for _, m := range declared.FindAllStringSubmatch(string(source), -1) {
			found++
			if !strings.Contains(string(ours), fmt.Sprintf("%s.%s}", pkg, m[1])) {
				t.Errorf("%s.%s has no code", pkg, m[1])
			}
		}
	}
	if found < 19 {
		t.Errorf("found %d refusals in the sources, want at least 19", found)
	}
	codes, names := make(map[Code]bool), make(map[string]bool)
	for _, r := range reasons() {
		if codes[r.code] || names[r.name] {
			t.Errorf("code %d, %q, is given twice", r.code, r.name)
		}
		codes[r.code], names[r.name] = true, true
		if got := codeOf(fmt.Errorf("chain: %w", r.err)); got != r.code {
			t.Errorf("%v has code %v, want %v", r.err, got, r.code)
		}
		if r.code.String() != r.name {
			t.Errorf("code %d is %q, want %q", r.code, r.code, r.name)
		}
	}
	if got := codeOf(os.ErrNotExist); got != CodeRefused {
		t.Errorf("another error has code %v", got)
	}
}

func TestDetailIsForPeopleOnly(t *testing.T) {
	w := newWorld(t, 2)
	r := w.only(w.block(w.tx(1, &Transfer{To: w.keys[0].id, Amount: 2_000 * atp.ATP})))
	want, err := r.ID()
	must(t, err)
	reworded := r
	reworded.Detail = "not enough"
	if got, _ := reworded.ID(); got != want {
		t.Error("a reworded sentence would split the chain")
	}
	changed := r
	changed.Code++
	if got, _ := changed.ID(); got == want {
		t.Error("another code gave the same receipt")
	}
	raw, err := r.Encode()
	must(t, err)
	again, err := DecodeReceipt(raw)
	must(t, err)
	if diff := cmp.Diff(r, again, equal()); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
}

// everyEvent is one of each.
func everyEvent() []Event {
	id, link := newKey("x").id, atp.Sum(nil)
	return []Event{
		{&FeePaid{id, 1}},
		{&Transferred{id, id, 2}},
		{&LockOpened{link, id, id, 3, epoch}},
		{&LockCommitted{link, id, id, 4}},
		{&LockRolledBack{link, id, id, 5, atp.OptionalID{}}},
		{&PlatformRegistered{id, registration("thor")}},
		{&Granted{id, 6}},
		{&task.Locked{Task: link, Payer: id, Amount: 7}},
		{&task.Moved{Task: link, To: task.Posted, Step: task.OpPost}},
		{&task.Engaged{Task: link, Requester: id, Executor: id}},
		{&task.Paid{Task: link, Outcome: task.Commit, Requester: id}},
		{&task.ReputationChanged{Task: link, Who: id, Role: task.Executor, Cause: task.CausePass}},
		{&ValidatorCandidate{id, epoch, 8}},
		{&CandidateLeft{id, 9}},
		{&ValidatorStays{id}},
		{&ValidatorLeaving{id}},
		{&ValidatorJoined{id, 10}},
		{&ValidatorLeft{id, 11, 12, 13}},
		{&VoteCast{id, id, 1, "society", 2, 3}},
		{&VoteWithdrawn{id, id}},
		{&PlatformAdmitted{id, "society"}},
		{&ValidatorAbsent{id, 14, 15}},
		{&ValidatorSlashed{id, id, 16, 17, id}},
		{&BondReturned{id, 18}},
		{&KeyRotated{id, id, 19}},
	}
}

func TestEveryEventSurvivesEncoding(t *testing.T) {
	names := make(map[string]int)
	for i, e := range everyEvent() {
		if got, want := e.number(), uint64(i+1); got != want {
			t.Errorf("%T has number %d, want %d", e.Fact, got, want)
		}
		raw, err := encode(&e)
		must(t, err)
		var again Event
		must(t, DecodeExactly(raw, len(raw), &again))
		if diff := cmp.Diff(e, again, equal()); diff != "" {
			t.Errorf("want -, got +\n%s", diff)
		}
		names[e.Name()]++
		if out, err := json.Marshal(e); err != nil || !strings.HasPrefix(string(out), `{"name":"`+e.Name()+`","data":{`) {
			t.Errorf("%T is shown as %s: %v", e.Fact, out, err)
		}
	}
	for _, name := range []string{"ATP_TRANSFER", "ATP_TRANSFER_LOCK", "ATP_TRANSFER_COMMIT", "ATP_TRANSFER_ROLLBACK", "FEDERATION_REPUTATION", "PLATFORM_REGISTER"} {
		if names[name] == 0 {
			t.Errorf("no event is named %s", name)
		}
	}
	if _, err := encode(&Event{}); err == nil {
		t.Error("an event that tells nothing was encoded")
	}
	var none Event
	if err := DecodeExactly([]byte{0x82, 13, 0x80}, 3, &none); err == nil {
		t.Error("an event of a number that is none was decoded")
	}
}
