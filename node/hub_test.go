package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

func TestTheHubNumbersEventsAndResumesAfterAny(t *testing.T) {
	h := newHub(time.UnixMicro(1000))
	h.tell(view.Event{Name: "a"}, view.Event{Name: "b"}, view.Event{Name: "c"})
	all := h.after(0, 10)
	if len(all) != 3 || all[0].Seq != 1001 || all[2].Seq != 1003 {
		t.Fatalf("after(0) = %+v, want three numbered from 1001", all)
	}
	if got := h.after(all[0].Seq, 1); len(got) != 1 || got[0].Name != "b" {
		t.Errorf("after the first, one = %+v, want b", got)
	}
	if got := h.after(all[2].Seq, 10); got == nil || len(got) != 0 {
		t.Errorf("after the last = %#v, want an empty list", got)
	}
	if later := newHub(time.UnixMicro(1_000_000)); later.seq <= all[2].Seq {
		t.Error("numbers do not grow over a restart")
	}
}

func TestTheHubKeepsTheNewestEvents(t *testing.T) {
	h := newHub(time.UnixMicro(0))
	for i := range 3*keptEvents + 100 {
		if h.tell(view.Event{Name: fmt.Sprint(i)}); i%97 != 0 {
			continue
		}
		all := h.after(0, 3*keptEvents)
		if want := min(i+1, keptEvents); len(all) < want || len(all) > 2*keptEvents || all[len(all)-1].Name != fmt.Sprint(i) {
			t.Fatalf("%d events up to %s, want the newest %d at least, and twice as many at most", len(all), all[len(all)-1].Name, want)
		}
		if mid := all[len(all)/2]; len(all) > 2 && h.after(mid.Seq-1, 1)[0].Name != mid.Name {
			t.Fatalf("after %d comes %s, want %s", mid.Seq-1, h.after(mid.Seq-1, 1)[0].Name, mid.Name)
		}
	}
}

func TestAChangeWakesEveryoneWhoWaits(t *testing.T) {
	h := newHub(time.Now())
	first, second := h.Changed(), h.Changed()
	h.tell()
	for _, c := range []<-chan struct{}{first, second} {
		select {
		case <-c:
		default:
			t.Error("one who waited was not woken")
		}
	}
	select {
	case <-h.Changed():
		t.Error("the next change has come already")
	default:
	}
}

func TestAlarmsStayInSightOnceEach(t *testing.T) {
	h := newHub(time.Now())
	for range 3 {
		h.alarm("the clock is wrong")
	}
	if got := h.alarmed(); len(got) != 1 {
		t.Errorf("alarms = %q, want one", got)
	}
	for i := range 2 * keptAlarms {
		h.alarm(fmt.Sprintf("alarm %d", i))
	}
	got := h.alarmed()
	if len(got) != keptAlarms || got[keptAlarms-1] != fmt.Sprintf("alarm %d", 2*keptAlarms-1) {
		t.Errorf("alarms = %q, want the newest %d", got, keptAlarms)
	}
	if events := h.after(0, 100); len(events) != 2*keptAlarms+1 || events[0].Kind != view.EventAlarm {
		t.Errorf("%d events, want one for each alarm", len(events))
	}
}

// An alarm bears the height of its moment: a reader that was away until then knows
// by it which blocks it has missed.
func TestAnAlarmHasTheHeightOfItsMoment(t *testing.T) {
	h := newHub(time.Now())
	h.alarm("at first")
	h.tell(view.Event{Kind: view.EventBlock, Height: 7})
	h.alarm("later")
	if all := h.after(0, 10); all[0].Height != 0 || all[2].Height != 7 {
		t.Errorf("alarms at %d and %d, want 0 and 7", all[0].Height, all[2].Height)
	}
}
