package exec_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sage-p2p/sage-p2p/task/exec/programs"
)

func sample(t *testing.T, name string) string {
	t.Helper()
	data, err := programs.Sample(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestTextStats(t *testing.T) {
	module := program(t, programs.TextStats)
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", `{"bytes":0,"lines":0,"words":0,"distinct":0,"longest":"","top":[]}`},
		{"a line", "The cat's hat, the CAT.\nÉté!", `{"bytes":30,"lines":2,"words":6,"distinct":5,"longest":"cat's",` +
			`"top":[{"word":"the","count":2},{"word":"cat","count":1},{"word":"cat's","count":1},{"word":"hat","count":1},{"word":"été","count":1}]}`},
	} {
		if d := cmp.Diff(tt.want+"\n", string(run(t, job(t, module, tt.text)).Output)); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
	}
	var got struct {
		Lines, Words, Distinct int
		Top                    []struct {
			Word  string
			Count int
		}
	}
	text := sample(t, programs.TextStats)
	if err := json.Unmarshal(run(t, job(t, module, text)).Output, &got); err != nil {
		t.Fatal(err)
	}
	if got.Lines != strings.Count(text, "\n") || len(got.Top) != 10 || got.Top[0].Word != "the" || got.Top[0].Count < 10 || got.Words < got.Distinct {
		t.Errorf("statistics of the sample = %+v", got)
	}
	if failed := run(t, job(t, module, "\xff\xfe")); !failed.Failed || !strings.Contains(string(failed.Logs), "not text in UTF-8") {
		t.Errorf("of no text: failed = %v, logs %q", failed.Failed, failed.Logs)
	}
}

func TestJSONXform(t *testing.T) {
	module := program(t, programs.JSONXform)
	got := string(run(t, job(t, module, sample(t, programs.JSONXform))).Output)
	want := `[{"kind":"jetson","memory_gib":8,"platform":"garage","price_atp":10.75},` +
		`{"kind":"jetson","memory_gib":8,"platform":"kitchen","price_atp":11},` +
		`{"kind":"workstation","memory_gib":128,"platform":"study","price_atp":34.5},` +
		`{"kind":"server","memory_gib":64,"platform":"attic","price_atp":1e2}]` + "\n"
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("sample (-want +got):\n%s", d)
	}
	for document, want := range map[string]string{
		`{"steps":[],"records":[]}`: "[]\n",
		`{"steps":[{"sort":"k"}],"records":[{},{"k":"b"},{"k":2},{"k":"a"},{"k":-1}]}`: `[{"k":-1},{"k":2},{"k":"a"},{"k":"b"},{}]` + "\n",
	} {
		if got := string(run(t, job(t, module, document)).Output); got != want {
			t.Errorf("%s = %q, want %q", document, got, want)
		}
	}
	for document, why := range map[string]string{
		`{"steps":[]}`:                                                           "has no records",
		`{"steps":[{}],"records":[]}`:                                            "step 1: want one of",
		`{"steps":[{"limit":-1}],"records":[]}`:                                  "limit is -1",
		`{"steps":[{"explode":1}],"records":[]}`:                                 "unknown field",
		`{"steps":[{"sort":"k"}],"records":[{"k":[]}]}`:                          "want a number or a text",
		`{"steps":[{"sort":"k"}],"records":[{"k":1e9999}]}`:                      "out of range",
		`{"steps":[{"rename":{"from":"a","to":"b"}}],"records":[{"a":1,"b":2}]}`: `record 1 has a "b" already`,
		`[]`: "cannot unmarshal",
	} {
		if got := run(t, job(t, module, document)); !got.Failed || !strings.Contains(string(got.Logs), why) {
			t.Errorf("%s: failed = %v with logs %q, want %q", document, got.Failed, got.Logs, why)
		}
	}
}

func TestEdges(t *testing.T) {
	module := program(t, programs.Edges)
	square := image.NewRGBA(image.Rect(5, 5, 25, 25)) // black, a white square in the middle
	for y := 11; y < 19; y++ {
		for x := 11; x < 19; x++ {
			square.Set(x, y, color.White)
		}
	}
	edges := edgesOf(t, module, encode(t, square))
	for y := range 20 {
		for x := range 20 {
			inside := x >= 5 && x < 15 && y >= 5 && y < 15
			core := x >= 7 && x < 13 && y >= 7 && y < 13
			if got, want := edges.GrayAt(x, y).Y > 0, inside && !core; got != want {
				t.Fatalf("edge at (%d, %d) = %v, want %v", x, y, got, want)
			}
		}
	}

	house := edgesOf(t, module, sample(t, programs.Edges))
	if house.Bounds() != image.Rect(0, 0, 240, 160) {
		t.Fatalf("bounds = %v", house.Bounds())
	}
	for _, place := range []struct {
		name string
		x, y int
		edge bool
	}{
		{"the door's side", 78, 120, true}, {"the sun's rim", 207, 34, true}, {"a window's frame", 60, 98, true},
		{"the sky", 20, 20, false}, {"inside the sun", 190, 34, false}, {"the wall", 84, 100, false},
	} {
		if got := int(house.GrayAt(place.x, place.y).Y); (got > 100) != place.edge || !place.edge && got > 60 {
			t.Errorf("%s has an edge of %d, want one: %v", place.name, got, place.edge)
		}
	}
	for _, bad := range []string{"", "GIF89a", sample(t, programs.Edges)[:1000]} {
		if got := run(t, job(t, module, bad)); !got.Failed || !strings.HasPrefix(string(got.Logs), "edges: ") {
			t.Errorf("picture %.6q: failed = %v, logs %q", bad, got.Failed, got.Logs)
		}
	}
}

func encode(t *testing.T, picture image.Image) string {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func edgesOf(t *testing.T, module []byte, picture string) *image.Gray {
	t.Helper()
	result := run(t, job(t, module, picture))
	decoded, err := png.Decode(bytes.NewReader(result.Output))
	if err != nil {
		t.Fatal(fmt.Errorf("%w; logs: %s", err, result.Logs))
	}
	grey, ok := decoded.(*image.Gray)
	if !ok {
		t.Fatalf("the result is a %T, want grey", decoded)
	}
	return grey
}
