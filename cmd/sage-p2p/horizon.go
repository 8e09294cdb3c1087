package main

import (
	"slices"
	"strings"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// reaches are the words of a horizon, by its dimension, each from the narrowest to
// the widest.
var reaches = [3][]string{{"local", "regional", "global"}, {"ephemeral", "session", "day", "epoch"}, {"simple", "agent", "society"}}

func reachesInWords() string {
	var all []string
	for _, words := range reaches {
		all = append(all, strings.Join(words, ", "))
	}
	return strings.Join(all, "; ")
}

// parseHorizon reads a word for some of the dimensions of a horizon. Each word says
// which it is of.
func parseHorizon(text string) (h view.Horizon, err error) {
	words := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("/, ", r) })
	if len(words) == 0 {
		words = []string{text}
	}
	for _, word := range words {
		i := slices.IndexFunc(reaches[:], func(of []string) bool { return slices.Contains(of, word) })
		if i < 0 {
			return h, usagef("--horizon: %q is no reach: want words such as regional/day/agent", word).hint("the words are %s", reachesInWords())
		}
		into := [3]*string{&h.Spatial, &h.Temporal, &h.Complexity}[i]
		if *into != "" {
			return h, usagef("--horizon: %q and %q exclude each other", *into, word)
		}
		*into = word
	}
	return h, nil
}
