package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/task"
)

// journal is what the worker has promised and produced: a file for each task,
// on the disk before the transaction that says it, and one beside it with what
// the program wrote to standard error. Results are named once: a
// task whose result is in the journal is never executed again.
type journal struct {
	dir  string
	turn *sync.Mutex // held while an entry is read and written again
}

// journalEntry is the content of a task's file.
type journalEntry struct {
	Task    cid.Cid     `json:"task"`
	Program cid.Cid     `json:"program"`
	Input   cid.Cid     `json:"input"`
	Proof   *task.Proof `json:"proof,omitempty"`
	Answers []answer    `json:"answers,omitempty"` // as a witness, one for each level
	Failure string      `json:"failure,omitempty"` // why it could not be executed here, for people
}

// Bounds of the journal.
const (
	maxEntries = 1024 // files, before those of settled tasks go, oldest first
	maxFailure = 4096 // bytes of a failure's text
)

const entrySuffix = ".json"

func openJournal(dir string) (journal, error) {
	return journal{dir, new(sync.Mutex)}, openFolder(dir)
}

// read returns the entry of a task, an empty one if there is none.
func (j journal) read(id cid.Cid) (e journalEntry, known bool, err error) {
	path := filepath.Join(j.dir, id.String()+entrySuffix)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return journalEntry{Task: id}, false, nil
	} else if err != nil {
		return journalEntry{}, false, fmt.Errorf("node: journal: %w", err)
	}
	if err = json.Unmarshal(raw, &e); err == nil && e.Task != id {
		err = fmt.Errorf("it is of task %s", e.Task)
	}
	if err == nil && e.Proof != nil {
		err = e.Proof.Check()
	}
	if err != nil {
		return journalEntry{}, false, fmt.Errorf("node: journal: what was promised for task %s cannot be read: %w: remove %s to have the task executed again", id, err, path)
	}
	return e, true, nil
}

// change rewrites the entry of a task. On error it is as it was.
func (j journal) change(id cid.Cid, f func(*journalEntry)) error {
	j.turn.Lock()
	defer j.turn.Unlock()
	e, _, err := j.read(id)
	if err != nil {
		return err
	}
	f(&e)
	raw, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return fmt.Errorf("node: journal: %w", err)
	}
	return writeDurably(j.dir, id.String()+entrySuffix, append(raw, '\n'))
}

// promise notes that the task is about to be accepted.
func (j journal) promise(t task.Task) error {
	return j.change(t.ID, func(e *journalEntry) {
		e.Program, e.Input = t.Terms.Program, t.Terms.Input
	})
}

// produced notes the proof that is about to be submitted, and returns the one
// that counts: that of before, if there is one.
func (j journal) produced(id cid.Cid, p task.Proof) (counts task.Proof, err error) {
	err = j.change(id, func(e *journalEntry) {
		if e.Proof == nil {
			e.Proof = &p
		}
		counts = *e.Proof
	})
	return counts, err
}

// result returns the proof of a task that was produced already.
func (j journal) result(id cid.Cid) (task.Proof, bool, error) {
	e, _, err := j.read(id)
	if err != nil || e.Proof == nil {
		return task.Proof{}, false, err
	}
	return *e.Proof, true, nil
}

// fail notes why a task that was promised could not be executed here, for
// people.
func (j journal) fail(id cid.Cid, why error) error {
	if _, known, err := j.read(id); err != nil || !known {
		return err
	}
	return j.change(id, func(e *journalEntry) {
		text := why.Error()
		e.Failure = strings.ToValidUTF8(text[:min(len(text), maxFailure)], "")
	})
}

// prune removes the oldest entries of settled tasks until no more than most are
// left. What was promised for a task that is open, or not known, stays.
func (j journal) prune(most int, settled func(cid.Cid) (bool, error)) error {
	entries, err := os.ReadDir(j.dir)
	if err != nil || len(entries) <= most {
		return err
	}
	var files []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && !strings.HasSuffix(e.Name(), logsSuffix) {
			files = append(files, info)
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	excess := len(files) - most
	for _, f := range files {
		if excess <= 0 {
			break
		}
		id, err := cid.Decode(strings.TrimSuffix(f.Name(), entrySuffix))
		if err != nil {
			continue // not ours
		}
		if over, err := settled(id); err != nil {
			return err
		} else if !over {
			continue
		}
		if err := os.Remove(filepath.Join(j.dir, id.String()+logsSuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("node: journal: %w", err)
		}
		if err := os.Remove(filepath.Join(j.dir, f.Name())); err != nil {
			return fmt.Errorf("node: journal: %w", err)
		}
		excess--
	}
	return nil
}

// answer is what this platform says as a witness, of one level.
type answer struct {
	Level  task.Level  `json:"level"`
	Answer task.Answer `json:"answer"`
	Hash   []byte      `json:"hash"` // of the run's final memory
	Salt   []byte      `json:"salt"`
}

// swear notes the answer that is about to be committed to, and returns the one
// that counts: that of before, if there is one.
func (j journal) swear(t task.Task, o task.Opening) (counts task.Opening, err error) {
	err = j.change(t.ID, func(e *journalEntry) {
		if known, ok := e.sworn(o.Level); ok {
			counts = known
			return
		}
		e.Answers = append(e.Answers, answer{o.Level, o.Answer, o.Hash[:], o.Salt[:]})
		counts = o
	})
	return counts, err
}

// sworn returns the answer that was given at a level, or is about to be.
func (j journal) sworn(t task.Task, level task.Level) (task.Opening, bool, error) {
	e, _, err := j.read(t.ID)
	if err != nil {
		return task.Opening{}, false, err
	}
	o, ok := e.sworn(level)
	return o, ok, nil
}

func (e journalEntry) sworn(level task.Level) (task.Opening, bool) {
	for _, a := range e.Answers {
		if a.Level != level {
			continue
		}
		o := task.Opening{Level: level, Answer: a.Answer}
		copy(o.Hash[:], a.Hash)
		copy(o.Salt[:], a.Salt)
		return o, true
	}
	return task.Opening{}, false
}
