package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// short abbreviates an ID to its beginning and its end, which tells it apart.
// Every command takes the ID in this form.
func short(id string) string {
	const head, tail = 4, 6
	if len(id) <= head+tail+1 {
		return id
	}
	return id[:head] + "…" + id[len(id)-tail:]
}

// who is a platform's name, or its ID in short.
func who(name string, id peer.ID) string {
	switch {
	case name != "":
		return clean(name)
	case id == "":
		return "–"
	default:
		return short(id.String())
	}
}

// clean makes a text of unknown origin harmless to a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// escaped is JSON that means the same and is harmless to a terminal: encoding/json
// escapes neither the control characters above ASCII nor those that turn text around.
// Outside of its strings there are none.
func escaped(raw []byte) []byte {
	b := make([]byte, 0, len(raw))
	for _, r := range string(raw) {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			b = utf8.AppendRune(b, r)
		default:
			for _, half := range utf16.AppendRune(nil, r) {
				b = fmt.Appendf(b, "\\u%04x", half)
			}
		}
	}
	return b
}

// coins is an amount with its unit.
func coins(a view.Amount) string { return a.String() + " ATP" }

// share is a quality or reputation in three decimals.
func share(p view.PPM) string { return fmt.Sprintf("%d.%03d", p/1_000_000, p%1_000_000/1000) }

// clock is an instant of the chain in local time.
func clock(ms view.Millis) string {
	if ms == 0 {
		return "–"
	}
	return time.UnixMilli(int64(ms)).Local().Format("2006-01-02 15:04:05")
}

// ago is how long before now an instant was.
func (p program) ago(ms view.Millis) string {
	d := p.now().Sub(time.UnixMilli(int64(ms)))
	switch {
	case d < 0:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", d/time.Hour)
	default:
		return fmt.Sprintf("%d days ago", d/(24*time.Hour))
	}
}

// table writes rows in columns, the first of which is the heading.
func table(w io.Writer, heading string, rows func(row func(cells ...any))) {
	var text bytes.Buffer
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	empty := true
	rows(func(cells ...any) {
		if empty {
			fmt.Fprintln(t, strings.ReplaceAll(heading, "|", "\t"))
			empty = false
		}
		for i, c := range cells {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, c)
		}
		fmt.Fprintln(t)
	})
	if empty {
		fmt.Fprintln(t, "none")
	}
	_ = t.Flush() // into memory
	for line := range strings.Lines(text.String()) {
		fmt.Fprintln(w, strings.TrimRight(line, " \n"))
	}
}

// facts writes lines of a name and what is to be said of it, which goes on in
// further lines where it is too long for one.
func facts(w io.Writer, lines ...[2]string) {
	width := 0
	for _, l := range lines {
		width = max(width, len(l[0]))
	}
	for _, l := range lines {
		if l[1] == "" {
			continue
		}
		name := l[0]
		for _, line := range wrap(l[1], helpWidth-width-4) {
			fmt.Fprintf(w, "  %-*s  %s\n", width, name, line)
			name = ""
		}
	}
}

// plural is n of something.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
