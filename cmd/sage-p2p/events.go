package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/node/api/client"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

func (p program) events() *cli.Command {
	return &cli.Command{
		Name: "events", Usage: "what happened, one line for each event",
		Description: "Without --follow: what the node still has; after it, on the error output, what\nto ask --since for to go on from there. Each line is the time, the height, the\nevent, and what it is about. With --json each line is one JSON object.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "follow", Usage: "go on until Ctrl-C, also when the node starts again"},
			&cli.StringSliceFlag{Name: "kind", Usage: "only of `KIND` block, tx, task, transfer, reputation, peer, validator or alarm; may be repeated"},
			&cli.StringFlag{Name: "since", Usage: "only after the event with this `NUMBER` (seq in JSON), or now (default: all)"},
		},
		Action: p.speaks(0, 0, (*session).tellEvents),
	}
}

func (s *session) tellEvents() error {
	q, err := eventQuery(s.StringSlice("kind"), s.String("since"))
	if err != nil {
		return err
	}
	known, err := s.names()
	if err != nil && !isNotReady(err) { // before there is a chain nobody has a name
		return err
	}
	tell := func(e view.Event) error { return s.tellEvent(e, known) }
	if s.Bool("follow") {
		err := s.node.Follow(s.Context.Context, q, tell, func(error) {
			fmt.Fprintln(s.err, "the node is away: waiting until it is back (Ctrl-C ends this)")
		})
		if s.Context.Context.Err() != nil {
			return nil // that is how following ends
		}
		return err
	}
	const page = 500
	for {
		part, err := s.node.Events(s.Context.Context, q, page)
		if err != nil {
			return err
		}
		for _, e := range part.Events {
			if err := tell(e); err != nil {
				return err
			}
		}
		if len(part.Events) < page {
			if part.Next > 0 && !s.Bool("json") {
				fmt.Fprintf(s.err, "what comes after these: %s\n", s.command(fmt.Sprint("events --since ", part.Next)))
			}
			return nil
		}
		q.After = part.Next
	}
}

// eventQuery reads which events are wanted.
func eventQuery(kinds []string, since string) (client.EventQuery, error) {
	var q client.EventQuery
	for _, text := range kinds {
		kind := view.EventKind(text)
		if !slices.Contains(view.EventKinds(), kind) {
			return q, usagef("--kind %q: want one of %s", text, strings.Trim(fmt.Sprint(view.EventKinds()), "[]"))
		}
		q.Kinds = append(q.Kinds, kind)
	}
	switch since {
	case "":
		return q, nil
	case "now":
		q.After = client.FromNow
		return q, nil
	}
	seq, err := strconv.ParseUint(since, 10, 64)
	if err != nil {
		return q, usagef("--since %q: want the number of an event, or now", since)
	}
	q.After = seq
	return q, nil
}

// tellEvent prints one event: on a screen, as much of it as a line has room for.
func (s *session) tellEvent(e view.Event, known names) error {
	if s.Bool("json") {
		b, err := json.Marshal(e)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(s.out, "%s\n", escaped(b))
		return err
	}
	line := eventLine(e, known)
	if s.screen {
		line = cut(line, helpWidth)
	}
	_, err := fmt.Fprintln(s.out, line)
	return err
}

// eventLine is an event in one line.
func eventLine(e view.Event, known names) string {
	if e.Kind == view.EventGap {
		var gap view.Gap
		if err := json.Unmarshal(e.Data, &gap); err != nil {
			return "some events are gone"
		}
		switch {
		case gap.ChainMissed:
			return fmt.Sprintf("events between %d and %d are gone; see the blocks", gap.AfterSeq, gap.BeforeSeq)
		case gap.FromHeight > 0:
			return fmt.Sprintf("events after %d are gone; blocks %d to %d tell theirs again", gap.AfterSeq, gap.FromHeight, gap.ToHeight)
		}
		return fmt.Sprintf("events between %d and %d are gone; no block is among them", gap.AfterSeq, gap.BeforeSeq)
	}
	at := clock(e.TimeMS)
	if _, ofDay, ok := strings.Cut(at, " "); ok {
		at = ofDay
	}
	words := []string{at, strconv.FormatUint(uint64(e.Height), 10), clean(e.Name)}
	subject := clean(e.Subject)
	if e.Kind != view.EventAlarm {
		subject = known.in(subject)
	}
	switch more := dataText(e.Data, e.Subject, known); {
	case more == "" || e.Kind == view.EventPeer: // it is about a platform
		words = append(words, subject, more)
	default: // the ID of what it is about tells a reader least
		words = append(words, more, subject)
	}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

// in is a text that may be the ID of a platform: its name, or the ID in short.
func (n names) in(text string) string {
	if id, err := peer.Decode(text); err == nil {
		return n.of(id)
	}
	return short(text)
}

// Of the members of an event's data those that a reader looks for come first.
var membersFirst = []string{"who", "name", "from", "to", "payee", "executor", "step", "amount_uatp", "price_uatp", "cause", "reason", "error"}

// rank is where a member stands among the others, which keep the order of their
// names.
func rank(member string) int {
	if i := slices.Index(membersFirst, member); i >= 0 {
		return i
	}
	return len(membersFirst)
}

// dataText is the data of an event as name=value, amounts in ATP, platforms by
// their names and other IDs in short. The subject is not said twice.
func dataText(data json.RawMessage, subject string, known names) string {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return ""
	}
	order := slices.SortedFunc(maps.Keys(members), func(a, b string) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b)) })
	var words []string
	for _, name := range order {
		if text, ok := memberText(name, members[name], known); ok && string(members[name]) != strconv.Quote(subject) {
			words = append(words, text)
		}
	}
	return strings.Join(words, " ")
}

// memberText is one member of an event's data, unless it says nothing in a line.
func memberText(name string, raw json.RawMessage, known names) (string, bool) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		if text = clean(text); text == "" {
			return "", false
		}
		if !strings.Contains(text, " ") {
			text = known.in(text)
		}
		return clean(name) + "=" + text, true
	}
	if n, err := strconv.ParseUint(string(raw), 10, 64); err == nil {
		switch base, amount := strings.CutSuffix(name, "_uatp"); {
		case amount && n == 0:
			return "", false
		case amount:
			return clean(base) + "=" + coins(view.Amount(n)), true
		}
		if base, ok := strings.CutSuffix(name, "_ppm"); ok {
			return clean(base) + "=" + share(view.PPM(n)), true
		}
		if name == "deadline" || name == "until" {
			return name + "=" + strings.Replace(clock(view.Millis(n)), " ", "T", 1), n > 0
		}
		return fmt.Sprintf("%s=%d", clean(name), n), true
	}
	if text := string(raw); text == "true" || text == "false" {
		return clean(name) + "=" + text, name != "ok" // the event's own name says that
	}
	return "", false // a list or an object: --json has it
}

// cut shortens a line to so many columns.
func cut(line string, columns int) string {
	if utf8.RuneCountInString(line) <= columns {
		return line
	}
	return string([]rune(line)[:columns-1]) + "…"
}
