package node

import "testing"

// Whether a platform asks for a vote follows from what it is and what the newest
// block shows, and an idle federation stays silent.
func TestWhenAPlatformAsksForAVote(t *testing.T) {
	const now = 1_000_000
	able := standing{wants: true, able: true}
	with := func(change func(*standing)) standing {
		s := able
		change(&s)
		return s
	}
	for name, tt := range map[string]struct {
		standing
		want bool
	}{
		"it has just come":                               {able, true},
		"an observer by choice":                          {with(func(s *standing) { s.wants = false }), false},
		"it has a vote":                                  {with(func(s *standing) { s.votes = true }), false},
		"it has a vote, and the others miss it":          {with(func(s *standing) { s.votes, s.missed = true, true }), true},
		"they do, and its JOIN is on the way":            {with(func(s *standing) { s.votes, s.missed, s.waits = true, true, true }), false},
		"it is not registered, or has too little":        {with(func(s *standing) { s.able = false }), false},
		"its JOIN is on the way":                         {with(func(s *standing) { s.waits = true }), false},
		"it is a candidate":                              {with(func(s *standing) { s.until = now + 1 }), false},
		"it is one, and another comes":                   {with(func(s *standing) { s.asked, s.until, s.another = true, now+1, now+9 }), false},
		"its candidacy is over, and nobody else waits":   {with(func(s *standing) { s.asked, s.until = true, now-1 }), false},
		"its candidacy is over, and another waits":       {with(func(s *standing) { s.asked, s.until, s.another = true, now-1, now+9 }), true},
		"its candidacy is forgotten, and another waits":  {with(func(s *standing) { s.asked, s.another = true, now+9 }), true},
		"the candidacy of the other is over too":         {with(func(s *standing) { s.asked, s.until, s.another = true, now-1, now-1 }), false},
		"a candidate of before the start, whose is over": {with(func(s *standing) { s.until = now - 1 }), true},
	} {
		if got := tt.joins(now); got != tt.want {
			t.Errorf("%s: asks %v, want %v", name, got, tt.want)
		}
	}
}
