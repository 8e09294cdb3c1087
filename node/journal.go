package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/task"
)

// journal is what the worker has promised and produced: a file for each task,
// on the disk before the transaction that says it. Results are named once: a
// task whose result is in the journal is never executed again.
type journal struct{ dir string }

// journalEntry is the content of a task's file.
type journalEntry struct {
	Task    cid.Cid     `json:"task"`
	Program cid.Cid     `json:"program"`
	Input   cid.Cid     `json:"input"`
	Proof   *task.Proof `json:"proof,omitempty"`
	Failure string      `json:"failure,omitempty"` // why it could not be executed here, for people
}

func openJournal(dir string) (journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return journal{}, fmt.Errorf("node: journal: %w", err)
	}
	return journal{dir}, nil
}

func (j journal) read(id cid.Cid) (journalEntry, bool, error) {
	raw, err := os.ReadFile(filepath.Join(j.dir, id.String()+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return journalEntry{Task: id}, false, nil
	} else if err != nil {
		return journalEntry{}, false, fmt.Errorf("node: journal: %w", err)
	}
	var e journalEntry
	if err := json.Unmarshal(raw, &e); err != nil {
		return journalEntry{}, false, fmt.Errorf("node: journal: task %s: %w", id, err)
	}
	return e, true, nil
}

func (j journal) write(e journalEntry) error {
	raw, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return fmt.Errorf("node: journal: %w", err)
	}
	return writeDurably(j.dir, e.Task.String()+".json", append(raw, '\n'))
}

// promise notes that the task is about to be accepted.
func (j journal) promise(t task.Task) error {
	return j.write(journalEntry{Task: t.ID, Program: t.Terms.Program, Input: t.Terms.Input})
}

// produced notes the proof that is about to be submitted.
func (j journal) produced(id cid.Cid, p task.Proof) error {
	e, _, err := j.read(id)
	if err != nil {
		return err
	}
	e.Proof = &p
	return j.write(e)
}

// result returns the proof of a task that was produced already.
func (j journal) result(id cid.Cid) (task.Proof, bool, error) {
	e, _, err := j.read(id)
	if err != nil || e.Proof == nil {
		return task.Proof{}, false, err
	}
	return *e.Proof, true, nil
}

// fail notes why a task could not be executed here. It is for people: what
// cannot be noted is not worth ending anything.
func (j journal) fail(id cid.Cid, why error) {
	e, known, err := j.read(id)
	if err != nil || !known {
		return
	}
	e.Failure = why.Error()
	_ = j.write(e)
}
