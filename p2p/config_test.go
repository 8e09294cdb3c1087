package p2p

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

func TestValidateReportsEveryProblem(t *testing.T) {
	bad := Config{
		Listen:    []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/1.2.3.4/udp/1/quic-v1/webtransport")},
		Name:      strings.Repeat("n", MaxName+1),
		Agent:     "\x07",
		Bootstrap: []peer.AddrInfo{{}},
	}
	err := bad.Validate()
	if err == nil {
		t.Fatal("all is well")
	}
	for _, want := range []string{"key", "listen", "network name", "config: name", "agent", "bootstrap", "FrameRate", "RedialMax"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %q in:\n%v", want, err)
		}
	}
	if _, err := New(bad); err == nil {
		t.Error("New takes it")
	}
}

func TestProfilesAreValidAndEveryLimitIsChecked(t *testing.T) {
	for name, l := range map[string]Limits{"edge": EdgeLimits(), "server": ServerLimits()} {
		if err := l.validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		resources, err := resourceManager(l)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		resources.Close()
		for i := range reflect.TypeFor[Limits]().NumField() {
			without := l
			reflect.ValueOf(&without).Elem().Field(i).SetZero()
			field := reflect.TypeFor[Limits]().Field(i).Name
			if err := without.validate(); err == nil || !strings.Contains(err.Error(), field) {
				t.Errorf("%s without %s: %v", name, field, err)
			}
		}
	}
}

func TestRoundTripsAreMeasured(t *testing.T) {
	quick := func(c *Config) { c.Limits.Ping = 10 * time.Millisecond }
	a, b := start(t, quick), start(t, quick)
	join(a, b)
	for _, m := range []*member{a, b} {
		eventually(t, "a round trip is known", func() bool { return m.Peers()[0].RTT > 0 })
	}
}
