package sim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sage-p2p/sage-p2p/atp"
)

// foldGap is how long nothing alike may happen within a run of lines that are folded,
// and foldSpan how long a run may be: who reads on is told again.
const foldGap, foldSpan = atp.Second, 5 * atp.Second

// run is lines that are alike, none of them long after the one before.
type run struct {
	first, last int // of the story
	count       int
	same        bool // all have one text
	machines    []int
}

// Fold returns a story in which lines that say the same again and again, or almost, are
// two: the first, and in place of the last how often it was.
func Fold(story []Line) []Line {
	open := make(map[string]*run)
	runs := make(map[int]*run) // by the lines that are in one
	for i, l := range story {
		if l.like == "" {
			continue
		}
		r := open[l.like]
		if r == nil || l.AtMS > story[r.last].AtMS+foldGap || l.AtMS > story[r.first].AtMS+foldSpan {
			r = &run{first: i, same: true}
			open[l.like] = r
		}
		r.last, r.count, r.same = i, r.count+1, r.same && l.Text == story[r.first].Text
		if !slices.Contains(r.machines, l.Machine) {
			r.machines = append(r.machines, l.Machine)
		}
		runs[i] = r
	}
	var folded []Line
	for i, l := range story {
		r := runs[i]
		switch {
		case r == nil:
		case r.instant(story):
			if i > r.first {
				continue
			}
			if r.count > 1 {
				l.Text += fmt.Sprintf("%s (%d times)", r.like(), r.count)
			}
		case i == r.last:
			l = r.rest(story)
		case i > r.first:
			continue
		}
		folded = append(folded, l)
	}
	return folded
}

// instant reports whether a run is one thing that happens at once.
func (r *run) instant(story []Line) bool {
	return len(r.machines) == 1 && story[r.first].AtMS == story[r.last].AtMS
}

// rest is the line that stands for all of a run but the first.
func (r *run) rest(story []Line) Line {
	first, l := story[r.first], story[r.last]
	if r.count == 2 {
		return l
	}
	by := ""
	if len(r.machines) > 1 {
		l.Machine = -1
		slices.Sort(r.machines)
		by = " by " + numbers(r.machines)
	}
	l.Text = fmt.Sprintf("… %d times more since %d.%03d%s: %s%s", r.count-1, first.AtMS/1000, first.AtMS%1000, by, first.Text, r.like())
	return l
}

// like says whether all of a run are the same.
func (r *run) like() string {
	if r.same {
		return ""
	}
	return ", and the like"
}

// numbers lists machines.
func numbers(list []int) string {
	return strings.Trim(strings.Join(strings.Fields(fmt.Sprint(list)), ", "), "[]")
}
