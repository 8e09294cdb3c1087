package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/sage-p2p/sage-p2p/node"
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

// What searches the output finds an alarm whole; on a screen it has a margin.
func TestAnAlarmFitsTheScreen(t *testing.T) {
	text := strings.TrimSpace(strings.Repeat("the key of this platform is in use elsewhere too ", 7))
	var out bytes.Buffer
	program{}.printAlarm(&out, text)
	if want := "ALARM: " + text + "\n"; out.String() != want {
		t.Errorf("into a pipe %q, want %q", out.String(), want)
	}
	out.Reset()
	program{screen: true}.printAlarm(&out, text)
	for i, line := range strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n") {
		if n := utf8.RuneCountInString(line); n > helpWidth || i > 0 && !strings.HasPrefix(line, "       ") {
			t.Errorf("%d columns: %q", n, line)
		}
	}
	if got := strings.Join(strings.Fields(out.String()), " "); got != "ALARM: "+text {
		t.Errorf("on a screen it says %q", got)
	}
}

func TestUpSaysThatADefaultPortWasTaken(t *testing.T) {
	var out bytes.Buffer
	printListening(&out, node.Presence{Name: "thor", API: "http://127.0.0.1:40001", Moved: []string{"port 7422", "the API's port 7423"}})
	for _, want := range []string{"port 7422 is taken, by another platform perhaps; a free one is used\n", "the API's port 7423 is taken, by another platform perhaps; a free one is used\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it says\n%swant %q", out.String(), want)
		}
	}
}
