package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/node/api/client"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// taskPatience is how long a command waits for a task by default: the longest
// life of one with default windows, and some.
const taskPatience = 10 * time.Minute

func (p program) task() *cli.Command {
	return &cli.Command{
		Name:  "task",
		Usage: "delegate work, follow it, answer its result",
		Subcommands: []*cli.Command{
			p.taskSubmit(), p.taskList(), p.taskShow(), p.taskWait(), p.taskResult(), p.taskLogs(), p.taskAcknowledge(), p.taskRefuse(), p.taskCancel(),
			p.taskDispute(), p.taskAppeal(), p.taskCheck(), p.taskVerify(), p.taskWhyNot(),
		},
	}
}

func (p program) taskList() *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "tasks, newest first",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "state", Usage: "only those that are posted, accepted, proven, witnessing or settled"},
			&cli.BoolFlag{Name: "mine", Usage: "only those that this platform asked for or executes"},
			&cli.IntFlag{Name: "limit", Usage: "how many", Value: 20},
			&cli.StringFlag{Name: "cursor", Usage: "go on where an earlier page ended"},
		},
		Action: p.speaks(0, 0, func(s *session) error {
			page, err := s.node.Tasks(s.Context.Context, view.TaskFilter{
				State: view.TaskState(s.String("state")), Mine: s.Bool("mine"), Limit: s.Int("limit"), Cursor: s.String("cursor"),
			})
			if err != nil {
				return err
			}
			return s.show(page, func(w io.Writer) {
				table(w, "TASK|TYPE|FROM|TO|ATP|STATE|QUALITY", func(row func(...any)) {
					for _, t := range page.Tasks {
						row(short(t.ID.String()), clean(t.Spec.Type), who(t.RequesterName, t.Requester), who(t.ExecutorName, t.Executor),
							t.Spec.PriceUATP, stateOf(t), quality(t.QualityPPM))
					}
				})
				if page.Next != "" {
					fmt.Fprintf(w, "more with: --cursor %s\n", clean(page.Next))
				}
			})
		}),
	}
}

// stateOf is a task's state, or how it ended.
func stateOf(t view.Task) string {
	if t.State != view.TaskSettled || t.Settlement == "" {
		return string(t.State)
	}
	if t.Cause == "" {
		return string(t.Settlement)
	}
	return fmt.Sprintf("%s (%s)", t.Settlement, clean(t.Cause))
}

func quality(q *view.PPM) string {
	if q == nil {
		return "–"
	}
	return share(*q)
}

func (p program) taskShow() *cli.Command {
	return &cli.Command{
		Name: "show", ArgsUsage: "TASK", Usage: "a task's history with its money and reputation",
		Action: p.speaks(1, 1, func(s *session) error {
			t, err := s.node.Task(s.Context.Context, s.Args().First())
			if err != nil {
				return err
			}
			return s.show(t, func(w io.Writer) { printTask(w, t) })
		}),
	}
}

func printTask(w io.Writer, t view.Task) {
	fmt.Fprintf(w, "task %s\n", t.ID)
	claimed := ""
	if t.ClaimedPPM != nil {
		claimed = share(*t.ClaimedPPM) + " claimed by the executor"
	}
	result := ""
	if !t.Result.IsZero() {
		result = fmt.Sprintf("%s, %d bytes", short(t.Result.String()), t.ResultSize)
	}
	deadline := ""
	if t.DeadlineMS > 0 && t.State != view.TaskSettled {
		deadline = clock(t.DeadlineMS)
	}
	judged := ""
	if t.QualityPPM != nil {
		judged = share(*t.QualityPPM)
	}
	agreement := ""
	if t.State == view.TaskSettled && t.ConsensusMS > 0 { // of what this platform itself waited for
		agreement = fmt.Sprintf("%d ms of agreement, %d.%02d %% of the task", t.ConsensusMS, t.ConsensusSharePPM/10_000, t.ConsensusSharePPM%10_000/100)
	}
	facts(w,
		[2]string{"state", stateOf(t)},
		[2]string{"until", deadline},
		[2]string{"type", fmt.Sprintf("%s (%s), runtime %s", clean(t.Spec.Type), clean(t.Spec.Complexity), clean(t.Spec.Runtime))},
		[2]string{"from", who(t.RequesterName, t.Requester)},
		[2]string{"to", executorOf(t)},
		[2]string{"price", fmt.Sprintf("%s + fee %s, bond %s", t.Spec.PriceUATP, t.FeeUATP, coins(t.BondUATP))},
		[2]string{"verified by", fmt.Sprintf("%s, at least %s", clean(t.Spec.Verify), share(t.Spec.MinQualityPPM))},
		[2]string{"input", fmt.Sprintf("%s, %d bytes", short(t.Spec.Input.String()), t.Spec.InputSize)},
		[2]string{"result", result},
		[2]string{"claim", claimed},
		[2]string{"quality", judged},
		[2]string{"failure", clean(t.Failure)},
		[2]string{"overhead", agreement},
	)
	printSeats(w, t)
	for _, step := range t.History {
		printStep(w, step, func(id peer.ID) string { return partyOf(t, id) })
	}
}

// executorOf says who executes a task, or may.
func executorOf(t view.Task) string {
	if t.Executor == "" && t.Open {
		return "the first to accept"
	}
	return who(t.ExecutorName, t.Executor)
}

// partyOf is what a party of a task is called.
func partyOf(t view.Task, id peer.ID) string {
	switch id {
	case t.Requester:
		return who(t.RequesterName, id)
	case t.Executor:
		return who(t.ExecutorName, id)
	}
	for _, seat := range t.Witnesses {
		if seat.PeerID == id {
			return who(seat.Name, id)
		}
	}
	return who("", id)
}

// past is what happened in a step of a task's life.
func past(step string) string {
	switch step {
	case "post", "accept", "acknowledge", "expire":
		return strings.TrimSuffix(step, "e") + "ed"
	case "cancel":
		return "cancelled"
	case "withdraw":
		return "withdrawn"
	case "prove":
		return "proven"
	case "refuse":
		return "refused"
	case "dispute", "commit", "unseal", "reveal", "decide", "conclude", "appeal", "spare", "seat", "void", "widen":
		return witnessed(step)
	default:
		return clean(step)
	}
}

func printStep(w io.Writer, step view.Step, name func(peer.ID) string) {
	by := ""
	if step.By != "" {
		by = " by " + name(step.By)
	}
	fmt.Fprintf(w, "%s  height %d  %s%s\n", clock(step.TimeMS), step.Height, past(step.Event), by)
	for _, l := range step.Legs {
		to := ""
		if l.To != "" {
			to = " · " + name(l.To)
		}
		fmt.Fprintf(w, "    %s %s%s\n", clean(l.What), coins(l.AmountUATP), to)
	}
	for _, r := range step.Reputation {
		fmt.Fprintf(w, "    reputation of %s as %s: %s → %s (%s)\n", name(r.PeerID), clean(strings.TrimSpace(r.Type+" "+r.Role)), share(r.OldPPM), share(r.NewPPM), clean(r.Cause))
	}
	for _, line := range wrap(clean(step.Note), helpWidth-4) {
		if line != "" {
			fmt.Fprintf(w, "    %s\n", line)
		}
	}
}

func (p program) taskWait() *cli.Command {
	return &cli.Command{
		Name: "wait", ArgsUsage: "TASK", Usage: "wait until a task is settled, saying how it goes",
		Flags: []cli.Flag{waitFlag(taskPatience)},
		Action: p.speaks(1, 1, func(s *session) error {
			t, err := s.followTask(s.Args().First())
			if err != nil {
				return err
			}
			return s.show(t, func(io.Writer) {})
		}),
	}
}

// progress is one line on where a task stands.
func progress(t view.Task) string {
	name := short(t.ID.String())
	switch t.State {
	case view.TaskPending:
		return fmt.Sprintf("task %s: waiting for its block", name)
	case view.TaskPosted:
		whom := "open to anyone"
		if t.Executor != "" {
			whom = "waiting for " + executorOf(t) + " to accept"
		}
		return fmt.Sprintf("task %s: posted, %s locked; %s", name, coins(t.Spec.PriceUATP+t.FeeUATP), whom)
	case view.TaskAccepted:
		return fmt.Sprintf("task %s: accepted by %s, who bonds %s and works", name, executorOf(t), coins(t.BondUATP))
	case view.TaskProven:
		return fmt.Sprintf("task %s: done, %d bytes; waiting for the answer of %s", name, t.ResultSize, who(t.RequesterName, t.Requester))
	case view.TaskWitnessing:
		return fmt.Sprintf("task %s: %s", name, reviewOf(t))
	case view.TaskSettled:
		return fmt.Sprintf("task %s: %s, quality %s", name, stateOf(t), quality(t.QualityPPM))
	default:
		return fmt.Sprintf("task %s: %s", name, t.State)
	}
}

func (p program) taskResult() *cli.Command {
	return &cli.Command{
		Name: "result", ArgsUsage: "TASK", Usage: "write a task's result",
		Flags: []cli.Flag{&cli.StringFlag{Name: "out", Usage: "`FILE` to write (default: standard output)"}},
		Action: p.speaks(1, 1, func(s *session) error {
			if s.String("out") == "" && s.screen {
				no := &refusal{code: exitUnsafe, message: "a result is the bytes of another machine, which could command this terminal"}
				return no.hint("write it to a file with --out FILE, or send it into a pipe")
			}
			if s.String("out") == "" {
				_, err := s.node.Result(s.Context.Context, s.Args().First(), s.out)
				return err
			}
			return s.saveResult(s.Args().First(), s.String("out"))
		}),
	}
}

// saveResult writes a task's result to a file, whole or not at all.
func (s *session) saveResult(task, file string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".sage-result-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // of no use to anyone
		}
	}()
	_, err = s.node.Result(s.Context.Context, task, f)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Chmod(f.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err == nil && !s.Bool("json") {
		fmt.Fprintf(s.out, "result written to %s\n", file)
	}
	return err
}

func (p program) taskAcknowledge() *cli.Command {
	return &cli.Command{
		Name: "acknowledge", ArgsUsage: "TASK", Usage: "accept a result and pay for it",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "quality", Usage: "your mark, `0 to 1` (default: as claimed); below the task's least it refuses"},
			waitFlag(submitPatience),
		},
		Action: p.speaks(1, 1, func(s *session) error {
			var m view.Mark
			if text := s.String("quality"); text != "" {
				q, err := parseShare("--quality", text)
				if err != nil {
					return err
				}
				m.QualityPPM = &q
			}
			return s.mark(s.Args().First(), m)
		}),
	}
}

func (p program) taskRefuse() *cli.Command {
	return &cli.Command{
		Name: "refuse", ArgsUsage: "TASK", Usage: "refuse a result: the price comes back, the fee does not",
		Flags:  []cli.Flag{waitFlag(submitPatience)},
		Action: p.speaks(1, 1, func(s *session) error { return s.mark(s.Args().First(), view.Mark{Refuse: true}) }),
	}
}

func (s *session) mark(task string, m view.Mark) error {
	sub, err := s.node.Acknowledge(s.Context.Context, task, m)
	if err != nil {
		return err
	}
	return s.ended(sub)
}

func (p program) taskCancel() *cli.Command {
	return p.taskMove("cancel", "take back a task that nobody has accepted", (*client.Client).CancelTask)
}

// taskMove is a command that moves a task on and needs nothing but its name.
func (p program) taskMove(name, usage string, move func(*client.Client, context.Context, string) (view.Submission, error)) *cli.Command {
	return &cli.Command{
		Name: name, ArgsUsage: "TASK", Usage: usage,
		Flags: []cli.Flag{waitFlag(submitPatience)},
		Action: p.speaks(1, 1, func(s *session) error {
			sub, err := move(s.node, s.Context.Context, s.Args().First())
			if err != nil {
				return err
			}
			return s.ended(sub)
		}),
	}
}

// ended waits for the transaction that ends a task and says how it ended.
func (s *session) ended(sub view.Submission) error {
	if err := s.finish(&sub); err != nil {
		return err
	}
	t, err := s.node.Task(s.Context.Context, sub.TaskID.String())
	if err != nil {
		return err
	}
	sub.Task = &t
	return s.show(sub, func(w io.Writer) {
		fmt.Fprintln(w, progress(t))
		outcome(w, sub.Tx)
	})
}
