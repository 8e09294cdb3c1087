package task_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

func jetson() task.Platform {
	return task.Platform{
		Name: "thor-1", Society: "north-lab",
		Hardware: task.Hardware{RAM: 8 << 30, Accelerators: 1024, Power: 15_000, Architecture: "arm64"},
		Horizon:  task.Horizon{Spatial: task.Regional, Temporal: task.DayLong, Complexity: task.Agent},
		Offers:   []task.Offer{task.DefaultOffer(task.Vision), task.DefaultOffer(task.LLMInference)},
		Runtimes: []task.Runtime{"wasm", "openai:llama3.1:8b"},
	}
}

func TestEveryFieldOfAPlatformIsBounded(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*task.Platform)
		ok     bool
	}{
		{"a platform", func(*task.Platform) {}, true},
		{"one that does no work", func(p *task.Platform) { p.Offers, p.Runtimes = nil, nil }, true},
		{"one without a society", func(p *task.Platform) { p.Society = "" }, true},
		{"a name of 3", func(p *task.Platform) { p.Name = "a-1" }, true},
		{"a name of 2", func(p *task.Platform) { p.Name = "ab" }, false},
		{"a name of 32", func(p *task.Platform) { p.Name = task.Name(strings.Repeat("a", 32)) }, true},
		{"a name of 33", func(p *task.Platform) { p.Name = task.Name(strings.Repeat("a", 33)) }, false},
		{"a name in capitals", func(p *task.Platform) { p.Name = "Thor" }, false},
		{"a name with an @", func(p *task.Platform) { p.Name = "alice@thor" }, false},
		{"a name that is not text", func(p *task.Platform) { p.Name = "abc\xff" }, false},
		{"a society with a slash", func(p *task.Platform) { p.Society = "a/b/c" }, false},
		{"an unknown horizon", func(p *task.Platform) { p.Horizon.Spatial = "moon" }, false},
		{"no architecture", func(p *task.Platform) { p.Hardware.Architecture = "" }, false},
		{"an offer of no type", func(p *task.Platform) { p.Offers[0].Type = "" }, false},
		{"two offers of one type", func(p *task.Platform) { p.Offers[1].Type = p.Offers[0].Type }, false},
		{"17 offers", func(p *task.Platform) {
			for i := range 15 {
				p.Offers = append(p.Offers, task.Offer{Type: task.Type(fmt.Sprintf("type-%d", i))})
			}
		}, false},
		{"a runtime of no name", func(p *task.Platform) { p.Runtimes[0] = "" }, false},
		{"one runtime twice", func(p *task.Platform) { p.Runtimes[1] = p.Runtimes[0] }, false},
		{"17 runtimes", func(p *task.Platform) {
			for i := range 15 {
				p.Runtimes = append(p.Runtimes, task.Runtime(fmt.Sprintf("runtime-%d", i)))
			}
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := jetson()
			tt.change(&p)
			err := p.Check()
			if tt.ok != (err == nil) || err != nil && !errors.Is(err, task.ErrPlatform) {
				t.Errorf("have %v, want ok to be %v", err, tt.ok)
			}
		})
	}
}

func TestAQuoteFollowsComplexityAndEstimate(t *testing.T) {
	o := task.DefaultOffer(task.LLMInference)
	for _, tt := range []struct {
		c        task.Complexity
		estimate atp.Span
		want     atp.Amount
	}{
		{task.Low, 0, 10 * atp.ATP},
		{task.Medium, 1500, 31_500_000},
		{task.High, 1, 50_001_000},
		{task.Critical, 60 * atp.Second, 210 * atp.ATP},
		{task.Low, ^atp.Span(0), atp.MaxAmount},
	} {
		if got := o.Quote(tt.c, tt.estimate); got != tt.want {
			t.Errorf("%s for %d ms: have %s ATP, want %s ATP", tt.c, tt.estimate, got, tt.want)
		}
	}
	if _, ok := jetson().Offer(task.Consolidation); ok {
		t.Error("a platform takes a type that it does not offer")
	}
}
