package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/node/api/client"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

func (p program) taskDispute() *cli.Command {
	return p.taskMove("dispute", "ask for witnesses of a result; the bond is lost if they find it good", (*client.Client).DisputeTask)
}

func (p program) taskAppeal() *cli.Command {
	return p.taskMove("appeal", "ask for everyone's word after a committee's; the bond is lost in vain", (*client.Client).AppealTask)
}

func (p program) taskVerify() *cli.Command {
	return &cli.Command{
		Name: "verify", ArgsUsage: "TASK", Usage: "find the quality of a result here, as a witness would",
		Description: "The node executes the task again, or runs its checker, if the task gives it a\n" +
			"right to what that needs: its parties and witnesses have it.",
		Flags: []cli.Flag{waitFlag(answerPatience)},
		Action: p.speaks(1, 1, func(s *session) error {
			var x view.Examination
			err := s.patiently("for the node to examine the result", func(ctx context.Context) (err error) {
				x, err = s.node.VerifyTask(ctx, s.Args().First())
				return err
			})
			if err != nil {
				return err
			}
			if err := s.show(x, func(w io.Writer) { printExamination(w, x) }); err != nil || x.Passes {
				return err
			}
			return failedf("the result of task %s is not as good as the task asks for", short(x.TaskID.String())).
				hint("its requester disputes it with: sage-p2p task dispute %s", short(x.TaskID.String()))
		}),
	}
}

func printExamination(w io.Writer, x view.Examination) {
	alike := "differs from"
	if x.Found == x.Proved {
		alike = "is"
	}
	found := ""
	if !x.Found.IsZero() {
		found = fmt.Sprintf("%s, which %s the one that the executor proved", short(x.Found.String()), alike)
	}
	facts(w,
		[2]string{"task", x.TaskID.String()},
		[2]string{"did", clean(x.Did)},
		[2]string{"took", fmt.Sprintf("%d ms", x.ElapsedMS)},
		[2]string{"answer", answerOf(x.ScorePPM, x.Answer)},
		[2]string{"result", found},
		[2]string{"memory", clean(x.MemoryHash)},
		[2]string{"witnesses", fmt.Sprintf("%d found the same memory, %d another", x.MemoryAlike, x.MemoryOther)},
	)
}

// scored is what `task check --json` prints.
type scored struct {
	ScorePPM   view.PPM `json:"score_ppm"`
	Why        string   `json:"why,omitempty"` // the score is 0: the checker said none
	MemoryHash string   `json:"memory_hash"`
}

func (p program) taskCheck() *cli.Command {
	return &cli.Command{
		Name: "check", Usage: "run a checker on an input and an output, here and without a node",
		Description: "A checker is a WASM program. It reads from standard input the length of the\n" +
			"task's input in eight bytes, the highest first, and the input; then the same\n" +
			"of the output. It writes the quality, 0 to 1000000, in decimal digits.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "checker", Usage: "`FILE` of the checker (required)"},
			&cli.StringFlag{Name: "input", Usage: "`FILE` of the task's input (required)"},
			&cli.StringFlag{Name: "output", Usage: "`FILE` of what is to be judged (required)"},
		},
		Action: p.checkOffline,
	}
}

func (p program) checkOffline(c *cli.Context) (err error) {
	if err := errors.Join(countArgs(c, 0, 0), needs(c, "checker", "input", "output")); err != nil {
		return err
	}
	var parts [3][]byte
	for i, name := range []string{"checker", "input", "output"} {
		if parts[i], err = readPart(name, c.String(name)); err != nil {
			return err
		}
	}
	rt, err := exec.NewWASM(filepath.Join(os.TempDir(), fmt.Sprintf("sage-check-%d", os.Getuid())))
	if err != nil {
		return err
	}
	score, err := exec.Check(c.Context, rt, parts[0], parts[1], parts[2], exec.CheckTime)
	if err != nil {
		return failedf("the checker gives no score here: %v", strings.TrimPrefix(err.Error(), "exec: "))
	}
	v := scored{view.PPM(score.PPM), score.Why, score.MemoryHash.String()}
	return p.show(c, v, func(w io.Writer) {
		fmt.Fprintf(w, "quality %s\n", share(v.ScorePPM))
		if v.Why != "" {
			fmt.Fprintf(w, "it counts as nothing: %s\n", clean(v.Why))
		}
	})
}

// readPart reads a file of an examination.
func readPart(what, name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err == nil && info.Size() > exec.MaxInput {
		return nil, failedf("the %s %q has %d bytes, more than the %d that it may have", what, name, info.Size(), exec.MaxInput)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, noFile(what, name, err)
	}
	return data, nil
}

// printSeats writes what each witness said and got.
func printSeats(w io.Writer, t view.Task) {
	if len(t.Witnesses) == 0 {
		return
	}
	table(w, "WITNESS|OF|SAYS|PAID|LOST", func(row func(...any)) {
		for _, seat := range t.Witnesses {
			level, said := "the committee", "nothing"
			if seat.Level > 0 {
				level = "everyone"
			}
			if seat.ScorePPM != nil || seat.Answer != "" {
				said = answerOf(seat.ScorePPM, seat.Answer)
			}
			row(who(seat.Name, seat.PeerID), level, said, coins(seat.EarnedUATP), coins(seat.SlashedUATP))
		}
	})
}

// answerOf is the quality that was found or, where none was, why.
func answerOf(score *view.PPM, answer string) string {
	if score != nil {
		return share(*score)
	}
	return clean(answer)
}

// reviewOf says how far the review of a result is. Whether there is one, a draw
// decides, unless somebody disputes the result.
func reviewOf(t view.Task) string {
	last := "seat"
	if len(t.History) > 0 {
		last = t.History[len(t.History)-1].Event
	}
	switch last {
	case "prove":
		return "done; a draw decides whether witnesses look at the result"
	case "dispute":
		return "disputed; witnesses are drawn"
	}
	return "witnesses look at the result: " + past(last)
}

// witnessed is what happened in a step that witnesses are part of.
func witnessed(step string) string {
	switch step {
	case "dispute":
		return "disputed"
	case "commit":
		return "answer committed"
	case "unseal":
		return "answers due"
	case "reveal":
		return "answer revealed"
	case "decide":
		return "decided by a committee"
	case "conclude":
		return "decided for good"
	case "appeal":
		return "appealed"
	case "spare":
		return "not audited"
	case "seat":
		return "witnesses seated"
	case "void":
		return "ended without witnesses"
	}
	return "given to everyone"
}

// answerPatience is how long a look at a result may take.
const answerPatience = 10 * time.Minute
