package main

import (
	"strings"
	"testing"
)

func TestAStakeIsBondedAndAskedBack(t *testing.T) {
	d := sit(t)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"stake", "bond", "150"}, "the stake is 150 ATP"},
		{[]string{"balance"}, "of that 150 ATP"},
		{[]string{"stake", "unbond", "20.5"}, "the stake is 150 ATP, 20.5 ATP on the way back"},
	} {
		if out := d.ok(tt.args...); !strings.Contains(out, tt.want) {
			t.Errorf("%s said %q, want %q", strings.Join(tt.args, " "), out, tt.want)
		}
	}
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"stake", "unbond", "130"}, exitFailed, "less than is asked for"},
		{[]string{"stake", "bond", "nothing"}, exitUsage, "nothing"},
		{[]string{"stake", "bond", "0"}, exitUsage, "0"},
	} {
		if got := d.run(tt.args...); got.code != tt.code || !strings.Contains(got.err, tt.want) {
			t.Errorf("%s: %+v, want code %d and %q", strings.Join(tt.args, " "), got, tt.code, tt.want)
		}
	}
}
