package api

import (
	"testing"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// FuzzResume reads what a browser, or anyone, resumes a stream of events with.
func FuzzResume(f *testing.F) {
	for _, s := range []string{"1", "7-3", "0", "-", "18446744073709551615-18446744073709551615", "+1", "1-", "1-2-3", "now"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseReader(text)
		if err != nil {
			if explain(err).Code != view.CodeInvalid || r.seq != 0 || r.whole != 0 {
				t.Fatalf("%q: %v with %+v", text, err, r)
			}
			return
		}
		if r.seq == 0 {
			return // it begins anew
		}
		again, err := parseReader(r.id())
		if err != nil || again.seq != r.seq || again.whole != r.whole {
			t.Fatalf("%q is %+v, and resumes as %+v, %v", text, r, again, err)
		}
	})
}
