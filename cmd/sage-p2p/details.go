package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// details writes the data of an operation or an event for people: the name and
// the value of what is in it, amounts in ATP, IDs in short, platforms by name.
// What is empty is left out.
func details(w io.Writer, data json.RawMessage, known names) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	r := detailReader{d: d, known: known}
	if r.value("") != nil || len(r.said) == 0 {
		return
	}
	const margin = "    "
	for _, line := range wrap(strings.Join(r.said, " · "), helpWidth-len(margin)) {
		fmt.Fprintln(w, margin+line)
	}
}

// detailReader walks over JSON and notes what it says.
type detailReader struct {
	d     *json.Decoder
	known names
	said  []string
}

// value notes the next value, which is called name.
func (r *detailReader) value(name string) error {
	token, err := r.d.Token()
	if err != nil {
		return err
	}
	switch v := token.(type) {
	case json.Delim:
		return r.members(name, v)
	case string:
		if v != "" {
			r.note(name, r.text(v))
		}
	case json.Number:
		r.number(name, v)
	case bool:
		r.note(name, yes(v))
	}
	return nil
}

// members notes what is in an object or a list. A link, {"/": ID}, is called
// what the object is.
func (r *detailReader) members(name string, open json.Delim) error {
	for r.d.More() {
		inner := name
		if open == '{' {
			key, err := r.d.Token()
			if err != nil {
				return err
			}
			if key != "/" {
				inner, _ = key.(string)
			}
		}
		if err := r.value(inner); err != nil {
			return err
		}
	}
	_, err := r.d.Token()
	return err
}

func (r *detailReader) note(name, text string) {
	r.said = append(r.said, strings.TrimSpace(strings.ReplaceAll(clean(name), "_", " ")+" "+text))
}

// text is a word of the data: a platform's name, an ID in short, or itself.
func (r *detailReader) text(v string) string {
	if id, err := peer.Decode(v); err == nil && len(v) > 40 {
		return r.known.of(id)
	}
	if _, err := view.ParseCID(v); err == nil {
		return short(v)
	}
	return clean(v)
}

// number notes a number with its unit, which is at the end of its name.
func (r *detailReader) number(name string, v json.Number) {
	n, err := v.Int64()
	if err != nil || n < 0 {
		r.note(name, clean(v.String()))
		return
	}
	if base, ok := strings.CutSuffix(name, "_uatp"); ok {
		if n > 0 {
			r.note(base, coins(atp.Amount(n)))
		}
	} else if base, ok := strings.CutSuffix(name, "_ppm"); ok {
		r.note(base, share(view.PPM(n)))
	} else if base, ok := strings.CutSuffix(name, "_ms"); ok {
		r.note(base, (time.Duration(n) * time.Millisecond).String())
	} else if name != "deadline" {
		r.note(name, v.String())
	} else if n > 0 {
		r.note(name, clock(view.Millis(n)))
	}
}
