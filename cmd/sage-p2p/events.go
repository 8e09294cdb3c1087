package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/node/api/client"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

func (p program) events() *cli.Command {
	return &cli.Command{
		Name: "events", Usage: "what happened, one line for each event",
		Description: "Without --follow: what the node still has. The number at the beginning of a\nline is what --since takes. With --json each line is one JSON object.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "follow", Usage: "go on until Ctrl-C, also when the node starts again"},
			&cli.StringSliceFlag{Name: "kind", Usage: "only of `KIND` block, tx, task, transfer, reputation, peer, validator or alarm; may be repeated"},
			&cli.StringFlag{Name: "since", Usage: "only after the event with this `NUMBER`, or now (default: all)"},
		},
		Action: p.speaks(0, 0, (*session).tellEvents),
	}
}

func (s *session) tellEvents() error {
	q, err := eventQuery(s.StringSlice("kind"), s.String("since"))
	if err != nil {
		return err
	}
	if s.Bool("follow") {
		err := s.node.Follow(s.Context.Context, q, s.tellEvent, func(error) {
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
			if err := s.tellEvent(e); err != nil {
				return err
			}
		}
		if len(part.Events) < page {
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
		return q, usagef("--since %q: want the number at the beginning of a line of events, or now", since)
	}
	q.After = seq
	return q, nil
}

// tellEvent prints one event.
func (s *session) tellEvent(e view.Event) error {
	if s.Bool("json") {
		b, err := json.Marshal(e)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(s.out, "%s\n", escaped(b))
		return err
	}
	_, err := fmt.Fprintln(s.out, eventLine(e))
	return err
}

// eventLine is an event in one line of at most 80 columns.
func eventLine(e view.Event) string {
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
	number := "-" // told again by its block
	if e.Seq > 0 {
		number = strconv.FormatUint(e.Seq, 10)
	}
	line := fmt.Sprintf("%s %s %d %s", number, at, e.Height, clean(e.Name))
	if e.Subject != "" && e.Kind != view.EventAlarm {
		line += " " + short(clean(e.Subject))
	} else if e.Subject != "" {
		line += " " + clean(e.Subject)
	}
	if more := dataText(e.Data); more != "" {
		line += " " + more
	}
	return cut(line, helpWidth)
}

// dataText is the data of an event as name=value, in order of the names, amounts
// in ATP and IDs in short.
func dataText(data json.RawMessage) string {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return ""
	}
	var words []string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if text, ok := memberText(name, members[name]); ok {
			words = append(words, text)
		}
	}
	return strings.Join(words, " ")
}

// memberText is one member of an event's data, unless it says nothing in a line.
func memberText(name string, raw json.RawMessage) (string, bool) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		if text = clean(text); text == "" {
			return "", false
		}
		if !strings.Contains(text, " ") {
			text = short(text)
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
	if string(raw) == "true" || string(raw) == "false" {
		return clean(name) + "=" + string(raw), true
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
