package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/task"
)

func newJournal(t *testing.T) journal {
	t.Helper()
	j, err := openJournal(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func someTask(name string) task.Task {
	return task.Task{ID: someCID(name), Terms: task.Terms{Program: someCID("program"), Input: someCID("input")}}
}

func TestATaskHasOneResultEver(t *testing.T) {
	j := newJournal(t)
	of := someTask("task")
	if err := j.promise(of); err != nil {
		t.Fatal(err)
	}
	if _, done, err := j.result(of.ID); err != nil || done {
		t.Fatalf("result before the work = %v, %v", done, err)
	}
	first := task.Proof{Result: someCID("first"), Size: 5}
	if got, err := j.produced(of.ID, first); err != nil || got.Result != first.Result {
		t.Fatalf("produced = %+v, %v", got, err)
	}
	if got, err := j.produced(of.ID, task.Proof{Result: someCID("second")}); err != nil || got.Result != first.Result {
		t.Errorf("a second result = %+v, %v, want the first to count", got, err)
	}
	again, err := openJournal(j.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.promise(of); err != nil {
		t.Fatal(err)
	}
	if got, done, err := again.result(of.ID); err != nil || !done || !cmp.Equal(got.Result, first.Result, cmp.Comparer(cid.Cid.Equals)) || got.Size != 5 {
		t.Errorf("after a restart = %+v, %v, %v, want the first", got, done, err)
	}
}

func TestAFailureIsNotedForWhatWasPromised(t *testing.T) {
	j := newJournal(t)
	of := someTask("task")
	if err := j.fail(of.ID, errors.New("no")); err != nil {
		t.Fatal(err)
	}
	if _, known, _ := j.read(of.ID); known {
		t.Error("a task that was never promised has an entry")
	}
	if err := j.promise(of); err != nil {
		t.Fatal(err)
	}
	if err := j.fail(of.ID, errors.New(strings.Repeat("é", maxFailure))); err != nil {
		t.Fatal(err)
	}
	e, known, err := j.read(of.ID)
	if err != nil || !known || len(e.Failure) == 0 || len(e.Failure) > maxFailure || e.Program != of.Terms.Program {
		t.Errorf("entry = %d bytes of failure, %v, %v", len(e.Failure), known, err)
	}
}

func TestADamagedEntryIsSaidInOneSentence(t *testing.T) {
	for _, tt := range []struct{ name, content string }{
		{"empty", ""},
		{"cut short", `{"task": {"/": "baf`},
		{"of another task", fmt.Sprintf(`{"task": {"/": %q}}`, someCID("other"))},
		{"an impossible proof", fmt.Sprintf(`{"task": {"/": %q}, "proof": {"claim_ppm": 2000000}}`, someCID("task"))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := newJournal(t)
			path := filepath.Join(j.dir, someCID("task").String()+entrySuffix)
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, _, err := j.result(someCID("task"))
			if err == nil || !strings.Contains(err.Error(), "remove "+path) || strings.Contains(err.Error(), "\n") {
				t.Errorf("result: %v, want one line with the remedy", err)
			}
			if err := j.promise(someTask("task")); err == nil {
				t.Error("a promise was written over it")
			}
		})
	}
}

func TestTheJournalForgetsOldSettledTasksOnly(t *testing.T) {
	j := newJournal(t)
	settled := map[cid.Cid]bool{}
	for i := range 10 {
		of := someTask(fmt.Sprint(i))
		if err := j.promise(of); err != nil {
			t.Fatal(err)
		}
		settled[of.ID] = i != 1 // the second is open, or not known
		when := time.Unix(int64(1000+i), 0)
		if err := os.Chtimes(filepath.Join(j.dir, of.ID.String()+entrySuffix), when, when); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.prune(4, func(id cid.Cid) (bool, error) { return settled[id], nil }); err != nil {
		t.Fatal(err)
	}
	var left []int
	for i := range 10 {
		if _, known, _ := j.read(someCID(fmt.Sprint(i))); known {
			left = append(left, i)
		}
	}
	if want := []int{1, 7, 8, 9}; !cmp.Equal(left, want) {
		t.Errorf("left: %v, want %v", left, want)
	}
}

func TestAnEntryHalfWrittenIsForgotten(t *testing.T) {
	j := newJournal(t)
	if err := os.WriteFile(filepath.Join(j.dir, unfinished+"1"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openJournal(j.dir); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(j.dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestLogsAreKeptBesideATaskAndGoWithIt(t *testing.T) {
	j := newJournal(t)
	for i := range 3 {
		of := someTask(fmt.Sprint(i))
		if err := errors.Join(j.promise(of), j.keepLogs(of.ID, []byte("it went well\n"))); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(int64(i), 0)
		if err := os.Chtimes(filepath.Join(j.dir, of.ID.String()+entrySuffix), at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.prune(2, func(cid.Cid) (bool, error) { return true, nil }); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"", "it went well\n", "it went well\n"} {
		if got, err := j.logs(someCID(fmt.Sprint(i))); err != nil || string(got) != want {
			t.Errorf("the logs of task %d are %q, %v, want %q", i, got, err, want)
		}
	}
	if entries, err := os.ReadDir(j.dir); err != nil || len(entries) != 4 {
		t.Errorf("%d files are left, %v, want two of each task", len(entries), err)
	}
}
