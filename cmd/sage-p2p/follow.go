package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// follower waits for a task, and does what was asked for when its result comes.
type follower struct {
	*session
	lines    *bufio.Reader
	saved    bool // the result is in the file of --out
	answered bool // or need not be, or cannot be by this platform
}

// errLater ends a wait at the wish of the one who waited.
var errLater = errors.New("the answer is left for later")

// followTask waits until a task is settled, or its answer is left for later. It
// says each state on the way.
func (s *session) followTask(task string) (view.Task, error) {
	ctx, cancel := context.WithTimeout(s.Context.Context, s.Duration("timeout"))
	defer cancel()
	f := &follower{session: s, lines: bufio.NewReader(s.in), saved: s.String("out") == ""}
	t, err := s.node.Task(ctx, task)
	for ; err == nil; t, err = s.node.WaitTask(ctx, t.ID.String(), t.State) {
		task = short(t.ID.String())
		s.tell(progress(t))
		err := f.take(ctx, t)
		if errors.Is(err, errLater) {
			return t, nil
		}
		if ctx.Err() != nil {
			break
		}
		if err != nil || t.State == view.TaskSettled {
			return t, err
		}
	}
	if ctx.Err() == nil {
		return t, err
	}
	code := exitTimeout
	if s.Context.Context.Err() != nil {
		code = exitFailed
	}
	stopped := &refusal{code: code, message: "stopped waiting for the task to be settled"}
	return t, stopped.hint("it goes on without you; see it with: sage-p2p task show %s", task)
}

// tell prints a line on how it goes. With --json only the end is printed.
func (s *session) tell(line string) {
	if !s.Bool("json") {
		fmt.Fprintln(s.out, line)
	}
}

// take saves a result and answers it, as asked for, once it is there.
func (f *follower) take(ctx context.Context, t view.Task) error {
	if t.Result.IsZero() {
		return nil
	}
	if !f.saved {
		if err := f.saveResult(t.ID.String(), f.String("out")); err != nil {
			return err
		}
		f.saved = true
	}
	if t.State != view.TaskProven || f.answered {
		return nil
	}
	f.answered = true
	if t.Spec.Verify != "mutual" {
		return f.witnessed(t)
	}
	if f.Bool("accept") {
		return f.answer(t, view.Mark{})
	}
	self, err := f.node.Status(ctx)
	if err != nil || f.Bool("json") || self.PeerID != t.Requester {
		return err
	}
	name := short(t.ID.String())
	if !f.asks || f.String("input") == "-" { // nobody can be asked
		f.tell("  accept it: " + f.command("task acknowledge "+name))
		f.tell("  refuse it: " + f.command("task refuse "+name))
		f.tell("  see it:    " + f.command("task result "+name+" --out FILE"))
		f.tell("  if you stay silent until " + clock(t.DeadlineMS) + ", it counts as accepted")
		return nil
	}
	return f.ask(ctx, t)
}

// witnessed says who answers a result that witnesses could judge: the node by
// itself, unless it is quicker here, or told not to.
func (f *follower) witnessed(t view.Task) error {
	name := short(t.ID.String())
	if !f.Bool("accept") {
		f.tell("  the node looks at the result by itself, and acknowledges or disputes it; before that, or with --no-review, you may:")
		f.tell("  accept it:  " + f.command("task acknowledge "+name))
		f.tell("  dispute it: " + f.command("task dispute "+name))
		return nil
	}
	err := f.answer(t, view.Mark{})
	if now, again := f.node.Task(f.Context.Context, t.ID.String()); err != nil && again == nil && now.State != view.TaskProven {
		return nil // it was answered already
	}
	return err
}

// ask asks who sits at the terminal what to answer.
func (f *follower) ask(ctx context.Context, t view.Task) error {
	name := short(t.ID.String())
	if f.String("out") == "" {
		f.tell("  see it first, in another terminal: " + f.call + " task result " + name + " --out FILE")
	}
	patient, cancel := context.WithTimeout(ctx, time.UnixMilli(int64(t.DeadlineMS)).Sub(f.now()))
	defer cancel()
	for {
		fmt.Fprint(f.out, "accept this result? [y/n/later] ")
		word, err := f.line(patient)
		if err != nil {
			fmt.Fprintln(f.out) // after the question
			if ctx.Err() != nil {
				return err
			}
			f.tell("the time to answer is over")
			return nil
		}
		switch strings.ToLower(strings.TrimSpace(word)) {
		case "y", "yes":
			return f.answer(t, view.Mark{})
		case "n", "no":
			return f.answer(t, view.Mark{Refuse: true})
		case "later", "l", "":
			f.tell("answer until " + clock(t.DeadlineMS) + ", after which it counts as accepted, with:")
			f.tell("  " + f.command("task acknowledge "+name))
			f.tell("  " + f.command("task refuse "+name))
			return errLater
		}
	}
}

// line reads a line of input, for as long as ctx allows. Its end is an empty line.
func (f *follower) line(ctx context.Context) (string, error) {
	var reader errgroup.Group
	read := make(chan string, 1)
	reader.Go(func() error { // cannot be interrupted: it ends with the line, or with the process
		text, err := f.lines.ReadString('\n')
		read <- text
		return err
	})
	select {
	case text := <-read:
		return text, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// answer marks a result, and waits until the mark is final.
func (f *follower) answer(t view.Task, m view.Mark) error {
	sub, err := f.node.Acknowledge(f.Context.Context, t.ID.String(), m)
	if err != nil {
		return err
	}
	return f.finish(&sub)
}
