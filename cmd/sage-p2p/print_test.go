package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// hostile is what another machine may write to take over a terminal: controls of
// ASCII, those above it, and a character that turns text around.
const hostile = "a\x1b[2J\u009b31m\u202eb\U000e0001\x7f"

func TestNothingThatIsPrintedForAScreenControlsIt(t *testing.T) {
	var out bytes.Buffer
	p := program{err: &out}
	err := &view.Error{Code: view.CodeRefused, Message: hostile, Hint: hostile}
	for _, asJSON := range []bool{false, true} {
		out.Reset()
		p.explain(err, asJSON)
		if i := strings.IndexFunc(out.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("as JSON %v: an error is printed as %q", asJSON, out.String())
		}
	}
	var again view.Failure
	if err := json.Unmarshal(out.Bytes(), &again); err != nil || again.Error.Message != hostile {
		t.Errorf("the JSON says %+v, %v, want the same words", again.Error, err)
	}
}

func TestAnAnswerAsJSONControlsNoScreen(t *testing.T) {
	d := sit(t)
	d.node.News = apitest.Answered(hostile)
	text := d.ok("ask", "Who?", "--json")
	if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("the answer is printed as %q", text)
	}
	var v asked
	if err := json.Unmarshal([]byte(text), &v); err != nil || v.Answer.Text != hostile {
		t.Errorf("have %+v, %v, want the same words", v.Answer, err)
	}
}
