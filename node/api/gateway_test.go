package api

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
)

// However many parts a message has, its text is put together once.
func TestAMessageOfManyPartsCostsNoMoreThanItsText(t *testing.T) {
	const parts = 20_000
	raw := json.RawMessage("[" + strings.Repeat(`{"type":"text","text":"abcd"},`, parts-1) + `{"type":"text","text":"abcd"}]`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	text, err := chatContent(raw)
	runtime.ReadMemStats(&after)
	if err != nil || text != strings.Repeat("abcd", parts) {
		t.Fatalf("%d bytes of text, %v", len(text), err)
	}
	if made := after.TotalAlloc - before.TotalAlloc; made > 64*uint64(len(raw)) {
		t.Errorf("%d bytes of parts took %d of memory", len(raw), made)
	}
}
