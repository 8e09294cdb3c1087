package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/node/api/client"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

func (p program) ask() *cli.Command {
	return &cli.Command{
		Name: "ask", ArgsUsage: "TEXT", Usage: "ask a language model one thing",
		Description: "A model of this platform answers for nothing; without one, another platform's\n" +
			"does, for its price. The answer is printed as it is written, and paid when it is\n" +
			"whole. TEXT may be - for standard input. All but the answer goes to the error\n" +
			"output. Ctrl-C stops the listening only.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "model", Usage: "`MODEL` to ask", DefaultText: "any; see them with: sage-p2p models"},
			&cli.StringFlag{Name: "to", Usage: "`P`: a platform, or auto", Value: view.ToAuto},
			&cli.StringFlag{Name: "price", Usage: "`ATP` to pay", DefaultText: "the list price"},
			&cli.StringFlag{Name: "min-quality", Usage: "least quality, `0..1`", DefaultText: "0.7"},
			&cli.BoolFlag{Name: "no-ack", Usage: "do not accept the answer: see it first, then task acknowledge or task refuse"},
			waitFlag(taskPatience),
		},
		Action: p.speaks(1, 1, (*session).askOne),
	}
}

func (p program) models() *cli.Command {
	return &cli.Command{
		Name: "models", Usage: "the language models that can be asked",
		Action: p.speaks(0, 0, func(s *session) error {
			models, err := s.node.Models(s.Context.Context)
			if err != nil {
				return err
			}
			return s.show(view.Models{Models: models}, func(w io.Writer) {
				table(w, "MODEL|HERE|ELSEWHERE|FROM ATP", func(row func(...any)) {
					for _, m := range models {
						least := "–"
						if len(m.Platforms) > 0 {
							least = m.LeastUATP.String()
						}
						row(clean(strings.TrimPrefix(m.ID, exec.LLMPrefix)), yes(m.Here), clean(strings.Join(m.Platforms, ", ")), least)
					}
				})
			})
		}),
	}
}

// asked is what `ask --json` prints.
type asked struct {
	Model        string       `json:"model"`
	Here         bool         `json:"here"` // a model of this platform answered, for nothing
	TaskID       view.CID     `json:"task_id,omitzero"`
	Executor     peer.ID      `json:"executor"`
	ExecutorName string       `json:"executor_name,omitempty"`
	Routing      string       `json:"routing,omitempty"`
	PriceUATP    view.Amount  `json:"price_uatp"`
	FeeUATP      view.Amount  `json:"fee_uatp"`
	Answer       *view.Answer `json:"answer,omitempty"`
	Task         *view.Task   `json:"task,omitempty"`

	midline bool // the text that was printed does not end a line
}

// Bounds of a task's execution window.
const (
	leastWindow = 5 * time.Second
	mostWindow  = 24 * time.Hour
)

func (s *session) askOne() error {
	q, err := s.question()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(s.Context.Context, s.Duration("timeout"))
	defer cancel()
	var a asked
	err = s.node.Ask(ctx, q, func(news view.AskNews) error { return s.tellNews(&a, news) })
	if a.midline {
		fmt.Fprintln(s.out)
	}
	if err != nil {
		return s.unanswered(ctx, &a, err)
	}
	return s.show(a, func(io.Writer) { s.printAnswered(&a) })
}

// question reads the text and the flags.
func (s *session) question() (view.Question, error) {
	var q view.Question
	text := s.Args().First()
	if text == "-" {
		b, err := io.ReadAll(io.LimitReader(s.in, exec.MaxChat+1))
		if err != nil {
			return q, failedf("standard input cannot be read: %v", err)
		}
		text = string(b)
	}
	switch {
	case strings.TrimSpace(text) == "":
		return q, usagef("the question is empty").hint(`ask something: sage-p2p ask "Why is the sky blue?"`)
	case len(text) > exec.MaxChat:
		return q, usagef("the question has more than the %d bytes that one may have", exec.MaxChat)
	case !utf8.ValidString(text):
		return q, usagef("the question is no text: it is not valid UTF-8")
	}
	q.Messages = []view.Message{{Role: "user", Content: text}}
	q.Model, q.To, q.NoAcknowledge = s.String("model"), s.String("to"), s.Bool("no-ack")
	if text := s.String("price"); text != "" {
		price, err := amount(text)
		if err != nil {
			return q, err
		}
		q.PriceUATP = price
	}
	if text := s.String("min-quality"); text != "" {
		quality, err := parseShare("--min-quality", text)
		if err != nil {
			return q, err
		}
		q.MinQualityPPM = quality
	}
	if s.IsSet("timeout") {
		q.ExecutionWindowMS = view.Span(min(max(s.Duration("timeout"), leastWindow), mostWindow).Milliseconds())
	}
	return q, nil
}

// tellNews prints what happens to a question: the text to the output, all else to
// the error output.
func (s *session) tellNews(a *asked, news view.AskNews) error {
	silent := s.Bool("json")
	note := func(format string, args ...any) {
		if !silent {
			fmt.Fprintf(s.err, format+"\n", args...)
		}
	}
	switch news.Step {
	case view.AskHere:
		a.Here, a.Model, a.Executor, a.ExecutorName = true, news.Model, news.Executor, news.ExecutorName
		note("%s answers here, for nothing", modelName(a.Model))
	case view.AskPosted:
		a.TaskID, a.Model, a.Executor, a.ExecutorName = news.TaskID, news.Model, news.Executor, news.ExecutorName
		a.Routing, a.PriceUATP, a.FeeUATP = news.Routing, news.PriceUATP, news.FeeUATP
		note("%s of %s is asked for %s and a fee of %s (task %s)", modelName(a.Model), who(a.ExecutorName, a.Executor), coins(a.PriceUATP), a.FeeUATP, short(a.TaskID.String()))
		note("class mutual: nobody but you judges the answer")
	case view.AskText:
		if silent {
			return nil
		}
		text := news.Text
		if s.screen {
			text = harmless(text)
		}
		a.midline = !strings.HasSuffix(text, "\n")
		_, err := io.WriteString(s.out, text)
		return err
	case view.AskAgain:
		if a.midline && !silent {
			fmt.Fprintln(s.out)
		}
		a.midline = false
		note("what came until here is void: the answer begins anew")
	case view.AskAnswer:
		a.Answer = news.Answer
	case view.AskSettled:
		a.Task = news.Task
	default: // it works, which the text will show
	}
	return nil
}

func modelName(runtime string) string { return clean(strings.TrimPrefix(runtime, exec.LLMPrefix)) }

// harmless makes a text of unknown origin, of several lines, harmless to a
// terminal.
func harmless(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r != utf8.RuneError && unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

// printAnswered says who answered, and what it cost.
func (s *session) printAnswered(a *asked) {
	if a.Answer != nil && a.Answer.Finish == "length" {
		fmt.Fprintln(s.err, "the answer was cut at its greatest length")
	}
	if a.Task == nil {
		return
	}
	name := short(a.TaskID.String())
	if a.Task.State != view.TaskSettled {
		fmt.Fprintf(s.err, "%s has answered, and is not paid yet\n", who(a.ExecutorName, a.Executor))
		fmt.Fprintf(s.err, "  accept it: %s\n", s.command("task acknowledge "+name))
		fmt.Fprintf(s.err, "  refuse it: %s\n", s.command("task refuse "+name))
		fmt.Fprintf(s.err, "  if you stay silent until %s, it counts as accepted\n", clock(a.Task.DeadlineMS))
		return
	}
	fmt.Fprintf(s.err, "answered by %s for %s and a fee of %s\n", who(a.ExecutorName, a.Executor), coins(a.PriceUATP), a.FeeUATP)
	if t := a.Task; t.ConsensusMS > 0 {
		fmt.Fprintf(s.err, "  %d ms of agreement, %d.%02d %% of the task\n", t.ConsensusMS, t.ConsensusSharePPM/10_000, t.ConsensusSharePPM%10_000/100)
	}
}

// unanswered says what becomes of a question that nobody listens to any more.
func (s *session) unanswered(ctx context.Context, a *asked, err error) error {
	stopped := &refusal{code: exitTimeout, message: fmt.Sprintf("stopped listening after %s", s.Duration("timeout"))}
	switch {
	case s.Context.Context.Err() != nil:
		stopped.code, stopped.message = exitFailed, "stopped listening"
	case ctx.Err() != nil:
	case errors.Is(err, client.ErrUnreachable) && !a.TaskID.IsZero():
		stopped.code, stopped.message = exitUnreachable, "the node went away in the middle of the answer"
	default:
		return err
	}
	if a.TaskID.IsZero() {
		return stopped
	}
	return stopped.hint("the question goes on without you, and its answer counts as accepted if you stay silent; follow it with: sage-p2p task wait %s", a.TaskID)
}
