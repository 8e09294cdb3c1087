package node

import (
	"testing"

	"github.com/sage-p2p/sage-p2p/task"
)

// What witnesses say, the chance of an audit and the median are all shown as any
// other quality is.
func TestNotesOfATaskSayQualitiesInDecimals(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{saidText(1_000_000), "1.000"},
		{saidText(0), "0.000"},
		{saidText(task.Unavailable), "UNAVAILABLE"},
		{drawnNote(&task.Drawn{Audit: 884_956, Height: 11, Beacon: task.Digest{1}}), "audit: spared by the beacon of height 11, p = 0.884"},
		{judgedNote(&task.Judged{Verdict: "PASS", Seats: 2, Committed: 2, Revealed: 2, Median: 850_000}), "committee: PASS by 2 seats, 2 committed, 2 revealed, median 0.850"},
	} {
		if tt.got != tt.want {
			t.Errorf("it says %q, want %q", tt.got, tt.want)
		}
	}
}
