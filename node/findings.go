package node

import (
	"fmt"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// findings collects what a look at something found.
type findings []view.Finding

// maxOfKind is how many findings of one kind are told one by one.
const maxOfKind = 5

// ok adds that something is as it should be.
func (f *findings) ok(about, format string, args ...any) {
	*f = append(*f, view.Finding{About: about, Verdict: view.VerdictOK, Text: fmt.Sprintf(format, args...)})
}

// cure is what to do about a finding, and the command for it, if there is one.
type cure struct{ text, command string }

// warn adds that something is less good than it could be.
func (f *findings) warn(about string, c cure, format string, args ...any) {
	f.bad(about, view.VerdictWarning, c, fmt.Sprintf(format, args...))
}

// problem adds that something does not work.
func (f *findings) problem(about string, c cure, format string, args ...any) {
	f.bad(about, view.VerdictProblem, c, fmt.Sprintf(format, args...))
}

func (f *findings) bad(about string, v view.Verdict, c cure, text string) {
	*f = append(*f, view.Finding{About: about, Verdict: v, Text: text, Cure: c.text, Command: c.command})
}

// several adds one finding for each of a list, and how many there are more.
func several[T any](f *findings, about string, list []T, tell func(T)) {
	for _, v := range list[:min(len(list), maxOfKind)] {
		tell(v)
	}
	if more := len(list) - maxOfKind; more > 0 {
		f.ok(about, "and %d more of this kind", more)
	}
}
