package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/node/wire"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

// tale is what somebody tells bit by bit, up to a bound. Any number of others may
// read it, each from where it stands.
type tale struct {
	most int // bytes

	mu      sync.Mutex
	changed chan struct{} // guarded by mu: closed at the next change
	begun   uint64        // guarded by mu: tells one beginning from another
	told    []byte        // guarded by mu
	over    bool          // guarded by mu
}

// newTale begins a tale. The clock numbers it: one of before a restart is another.
func newTale(most int) *tale {
	return &tale{most: most, changed: make(chan struct{}), begun: uint64(time.Now().UnixNano())}
}

// glimpse is what there is of a tale after an offset.
type glimpse struct {
	begun   uint64
	piece   []byte // not to be changed
	from    int    // where the piece is: the offset, or 0 in another beginning
	over    bool   // nothing comes after the piece
	changed <-chan struct{}
}

// look returns what comes after the first from bytes of the beginning that was
// seen; of another beginning, all.
func (t *tale) look(begun uint64, from int) glimpse {
	t.mu.Lock()
	defer t.mu.Unlock()
	if begun != t.begun || from > len(t.told) {
		from = 0
	}
	return glimpse{t.begun, t.told[from:len(t.told):len(t.told)], from, t.over, t.changed}
}

// restart forgets what was told, for a beginning of this number.
func (t *tale) restart(begun uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begun, t.told = begun, nil
	t.wake()
}

// again begins anew.
func (t *tale) again() { t.restart(t.look(0, 0).begun + 1) }

// add tells more, as far as the bound allows, and reports whether it did.
func (t *tale) add(piece []byte) (fits bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fits = len(piece) <= t.most-len(t.told)
	t.told = append(t.told, piece[:min(len(piece), t.most-len(t.told))]...)
	t.wake()
	return fits
}

func (t *tale) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	t.wake()
}

// wake wakes the readers. mu is held.
func (t *tale) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// work is what the execution of a task tells while it goes on.
type work struct{ text, logs *tale }

// listener tells it.
func (w work) listener() exec.Listener {
	return exec.Listener{Text: func(p []byte) { w.text.add(p) }, Logs: func(p []byte) { w.logs.add(p) }}
}

// works is the tasks that are being executed: as many as there are slots.
type works struct {
	mu  sync.Mutex
	now map[cid.Cid]work // guarded by mu
}

func newWorks() *works { return &works{now: map[cid.Cid]work{}} }

func (w *works) begin(id cid.Cid) work {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now[id] = work{newTale(exec.MaxText), newTale(exec.MaxLogs)}
	return w.now[id]
}

func (w *works) get(id cid.Cid) (work, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	told, ok := w.now[id]
	return told, ok
}

// end lets go of what was told: of the text the result is left, of the logs a file.
func (w *works) end(id cid.Cid) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if told, ok := w.now[id]; ok {
		told.text.end()
		told.logs.end()
		delete(w.now, id)
	}
}

const logsSuffix = ".log"

// keepLogs writes what the execution of a task wrote to standard error.
func (j journal) keepLogs(id cid.Cid, logs []byte) error {
	if len(logs) == 0 {
		return nil
	}
	return writeDurably(j.dir, id.String()+logsSuffix, logs)
}

// logs returns what keepLogs wrote; nothing, if the task wrote nothing.
func (j journal) logs(id cid.Cid) ([]byte, error) {
	raw, err := os.ReadFile(filepath.Join(j.dir, id.String()+logsSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("node: journal: %w", err)
	}
	return raw[:min(len(raw), exec.MaxLogs)], nil
}

// ownTale is what the execution of a task here tells, or has told. It is nil for
// a text that is not being told.
func (n *Node) ownTale(r *running, id cid.Cid, of wire.Flow) (*tale, error) {
	told, now := n.works.get(id)
	switch {
	case now && of == wire.Text:
		return told.text, nil
	case now:
		return told.logs, nil
	case of == wire.Text:
		return nil, nil
	}
	raw, err := r.worker.journal.logs(id)
	if err != nil {
		return nil, err
	}
	t := newTale(exec.MaxLogs)
	t.begun = 1 // alike each time that the file is read
	t.add(raw)
	t.end()
	return t, nil
}
