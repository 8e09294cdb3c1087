package view_test

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

func TestAmountsAreIntegersAndIDsAreStrings(t *testing.T) {
	b, err := json.Marshal(view.Submission{TxID: apitest.CID("x"), Executor: apitest.ID("alpha"), Tx: &view.Tx{From: apitest.ID("beta"), FeeUATP: 1_500_000}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"tx_id":"bafyrei`, `"executor":"12D3KooW`, `"fee_uatp":1500000`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("JSON %s, want %s in it", b, want)
		}
	}
	if strings.Contains(string(b), "task_id") {
		t.Errorf("JSON %s, want no absent ID in it", b)
	}
	var back view.Submission
	if err := json.Unmarshal(b, &back); err != nil || back.TxID != apitest.CID("x") || !back.TaskID.IsZero() {
		t.Errorf("read back %+v, %v", back, err)
	}
}

// Units are in the names: whoever reads the JSON need not guess.
func TestNamesCarryTheirUnits(t *testing.T) {
	snake := regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	suffix := map[reflect.Type]string{
		reflect.TypeFor[view.Amount](): "_uatp", reflect.TypeFor[view.PPM](): "_ppm", reflect.TypeFor[view.Millis](): "_ms", reflect.TypeFor[view.Span](): "_ms",
	}
	var check func(reflect.Type)
	check = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[view.CID]() {
			return
		}
		for i := range typ.NumField() {
			f := typ.Field(i)
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); !f.Anonymous && (!snake.MatchString(name) || !strings.HasSuffix(name, suffix[inner])) {
				t.Errorf("%s.%s is called %q, want snake_case ending in %q", typ, f.Name, name, suffix[inner])
			}
			check(f.Type)
		}
	}
	for _, v := range []any{
		view.Status{}, view.Peers{}, view.Validators{}, view.Platforms{}, view.Account{}, view.Movements{}, view.Block{}, view.Headers{}, view.Tx{},
		view.Event{}, view.Locks{}, view.Tasks{}, view.Transfer{}, view.NewLock{}, view.Registration{}, view.NewTask{}, view.Mark{}, view.Submission{}, view.Failure{},
		view.Events{}, view.Gap{}, view.TxEnd{}, view.PeerNews{}, view.ValidatorsNews{},
		view.Doctor{}, view.WhyNot{}, view.WhyIdle{}, view.ReputationStory{}, view.PeersWhy{},
	} {
		check(reflect.TypeOf(v))
	}
}

func TestOnlyCanonicalContentIDsAreRead(t *testing.T) {
	good := apitest.CID("x").String()
	for _, bad := range []string{"bafy", strings.ToUpper(good), good + "a", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N ", " " + good} {
		if id, err := view.ParseCID(bad); err == nil {
			t.Errorf("ParseCID(%q) = %s, want an error", bad, id)
		}
	}
	if id, err := view.ParseCID(good); err != nil || id.String() != good {
		t.Errorf("ParseCID(%q) = %s, %v", good, id, err)
	}
}
