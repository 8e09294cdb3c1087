package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"github.com/sage-p2p/sage-p2p/node/api/client"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// heldNews is how many news are kept while a command runs.
const heldNews = 20

// news brings news to the screen above the line that is being typed. While a
// command runs they wait: of one thing only the newest, and none of what the
// command tells itself.
type news struct {
	screen io.Writer

	mu      sync.Mutex
	editor  *term.Terminal  // guarded by mu: of the line, nil while a command runs
	held    []item          // guarded by mu
	dropped int             // guarded by mu
	said    map[string]bool // guarded by mu: IDs that commands have printed
}

// saidIDs bounds the IDs that are remembered.
const saidIDs = 1000

// witness is the output of a command. It remembers the IDs that go by.
type witness struct {
	io.Writer
	news *news
}

var wholeID = regexp.MustCompile(`\bbafyrei[a-z2-7]{52}\b`)

// Write implements io.Writer.
func (w *witness) Write(b []byte) (int, error) {
	w.news.mu.Lock()
	for _, id := range wholeID.FindAll(b, -1) {
		if len(w.news.said) >= saidIDs {
			w.news.said = nil
		}
		if w.news.said == nil {
			w.news.said = map[string]bool{}
		}
		w.news.said[string(id)] = true
	}
	w.news.mu.Unlock()
	return w.Writer.Write(b)
}

// item is news of something.
type item struct{ about, text string }

// tell shows news of something now, or when the command that runs has ended.
func (n *news) tell(about, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.editor != nil {
		if !n.said[about] {
			_, _ = io.WriteString(n.editor, text+"\n") // fails only as the screen does
		}
		return
	}
	for i := range n.held {
		if n.held[i].about == about {
			n.held[i].text = text
			return
		}
	}
	if len(n.held) == heldNews {
		n.dropped++
		return
	}
	n.held = append(n.held, item{about, text})
}

// begin shows what was held, and from now on all above the line of editor.
func (n *news) begin(editor *term.Terminal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, i := range n.held {
		if !n.said[i.about] {
			fmt.Fprintln(n.screen, i.text)
		}
	}
	if n.dropped > 0 {
		fmt.Fprintf(n.screen, "… and %d more\n", n.dropped)
	}
	n.held, n.dropped, n.editor = nil, 0, editor
}

// hold holds back from now on.
func (n *news) hold() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.editor = nil
}

func (n *news) resize(width, height int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.editor != nil {
		_ = n.editor.SetSize(width, height) // fails only as a write to the screen does
	}
}

// lookAgain is the pause before a node that does not answer is looked for, and
// taskGlance that between two looks at the tasks.
const (
	lookAgain  = 2 * time.Second
	taskGlance = 300 * time.Millisecond
)

// watch tells the news of the node until ctx ends. A node that is not there is
// looked for.
func (s *shell) watch(ctx context.Context, n *news) error {
	for ctx.Err() == nil {
		node, err := client.Open(s.home, s.api)
		if err == nil {
			w := watcher{news: n, shell: s, changed: make(chan struct{}, 1)}
			err = w.run(ctx, node)
			node.Close()
		}
		if err != nil && ctx.Err() == nil {
			pause(ctx, lookAgain)
		}
	}
	return nil
}

// pause waits for a while, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// watcher follows one node, also over its restarts.
type watcher struct {
	news    *news
	shell   *shell
	self    peer.ID
	gone    atomic.Bool // the node does not answer
	changed chan struct{}
	states  map[view.CID]view.TaskState // of this platform's tasks, the newest
}

// run tells what happens, for as long as the node can be found.
func (w *watcher) run(ctx context.Context, node *client.Client) error {
	st, err := node.Status(ctx)
	if err != nil {
		return err
	}
	w.self = st.PeerID
	if err := w.look(ctx); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		q := client.EventQuery{After: client.FromNow, Kinds: []view.EventKind{view.EventTask, view.EventTx, view.EventAlarm}}
		return node.Follow(ctx, q, w.hear, w.away)
	})
	g.Go(func() error { return w.lookOften(ctx) })
	return g.Wait()
}

func isNotReady(err error) bool {
	var no *view.Error
	return errors.As(err, &no) && no.Code == view.CodeNotReady
}

// away says, once, that the node does not answer.
func (w *watcher) away(error) {
	w.gone.Store(true)
	w.news.tell("node", "%s the node does not answer any more", w.stamp())
	w.wake()
}

// back says, once, that it answers again.
func (w *watcher) back() {
	if w.gone.CompareAndSwap(true, false) {
		w.news.tell("node", "%s the node answers again", w.stamp())
	}
}

// wake has somebody look at the tasks.
func (w *watcher) wake() {
	select {
	case w.changed <- struct{}{}:
	default: // somebody does anyway
	}
}

// hear tells an event, or takes note of it.
func (w *watcher) hear(e view.Event) error {
	w.back()
	switch e.Kind {
	case view.EventAlarm:
		w.news.tell("alarm "+e.Subject, "%s ALARM: %s", w.stamp(), clean(e.Subject))
	case view.EventTx:
		var end view.TxEnd
		if json.Unmarshal(e.Data, &end) != nil || end.From != w.self {
			return nil
		}
		w.news.tell(e.Subject, "%s block %d: transaction %s is %s", w.stamp(), e.Height, short(clean(e.Subject)), outcomeOf(end))
	default:
		w.wake()
	}
	return nil
}

func outcomeOf(end view.TxEnd) string {
	if end.OK {
		return "final"
	}
	return "refused: " + clean(reason(end.Error))
}

// lookOften looks at the tasks when some have moved, but not all the time, and
// for a node that does not answer.
func (w *watcher) lookOften(ctx context.Context) error {
	for {
		var again <-chan time.Time
		if w.gone.Load() {
			again = time.After(lookAgain)
		}
		select {
		case <-w.changed:
		case <-again:
		case <-ctx.Done():
			return ctx.Err()
		}
		if w.look(ctx) == nil {
			w.back()
		}
		pause(ctx, taskGlance)
	}
}

// look tells which tasks of this platform have moved since the last look. The
// first tells nothing. It fails if the node does not answer.
func (w *watcher) look(ctx context.Context) error {
	node, err := client.Open(w.shell.home, w.shell.api) // it may have moved
	if err != nil {
		return err
	}
	defer node.Close()
	page, err := node.Tasks(ctx, view.TaskFilter{Mine: true, Limit: completedTasks})
	if isNotReady(err) {
		return nil
	}
	if err != nil {
		return err
	}
	first := w.states == nil
	states := make(map[view.CID]view.TaskState, len(page.Tasks))
	for _, t := range page.Tasks {
		states[t.ID] = t.State
		if !first && w.states[t.ID] != t.State {
			w.news.tell("task "+t.ID.String(), "%s %s", w.stamp(), progress(t))
		}
	}
	w.states = states
	return nil
}

func (w *watcher) stamp() string { return w.shell.now().Local().Format("15:04:05") }
