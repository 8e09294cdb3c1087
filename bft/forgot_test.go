package bft

import "testing"

// What was said up to the watermark is known to be forgotten, also at the height
// that the record is about.
func TestNothingAtOrBelowTheWatermarkIsForgotten(t *testing.T) {
	self := testSet(1).ID(0)
	r := NewRecord().Keep(Unsigned{Statement: Statement{KindPrepare, 5, 0, testBlock("a"), NoView}}, self, Signature{})
	shown := func(h Height, v View) Signed {
		return Signed{Statement{KindPrepare, h, v, testBlock("b"), NoView}, self, Signature{}}
	}
	for _, tt := range []struct {
		watermark, height Height
		view              View
		want              bool
	}{
		{0, 5, 0, true}, {0, 5, 1, true}, {0, 4, 9, false}, {0, 6, 0, true},
		{5, 5, 0, false}, {5, 5, 1, false}, {5, 6, 0, true}, {7, 7, 0, false}, {7, 8, 0, true},
	} {
		r.Watermark = tt.watermark
		if got := r.Forgot(shown(tt.height, tt.view)); got != tt.want {
			t.Errorf("watermark %d, shown height %d, view %d: forgot %v, want %v", tt.watermark, tt.height, tt.view, got, tt.want)
		}
	}
}
