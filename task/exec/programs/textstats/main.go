// Command textstats reads a text and writes statistics about it as JSON:
//
//	{"bytes":…,"lines":…,"words":…,"distinct":…,"longest":"…","top":[{"word":"…","count":…},…]}
//
// A word is a run of letters, digits and inner apostrophes, in lower case. The
// ten most frequent words come first, those of equal count in the order of the
// alphabet.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const topWords = 10

type count struct {
	Word  string `json:"word"`
	Count int    `json:"count"`
}

type statistics struct {
	Bytes    int     `json:"bytes"`
	Lines    int     `json:"lines"`
	Words    int     `json:"words"`
	Distinct int     `json:"distinct"`
	Longest  string  `json:"longest"`
	Top      []count `json:"top"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "textstats:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	if !utf8.Valid(text) {
		return fmt.Errorf("the input is not text in UTF-8")
	}
	return json.NewEncoder(out).Encode(measure(text))
}

func measure(text []byte) statistics {
	s := statistics{Bytes: len(text), Lines: bytes.Count(text, []byte("\n"))}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		s.Lines++
	}
	counts := make(map[string]int)
	words := bufio.NewScanner(bytes.NewReader(text))
	words.Buffer(nil, len(text)+1)
	words.Split(bufio.ScanWords)
	for words.Scan() {
		for word := range strings.FieldsFuncSeq(strings.ToLower(words.Text()), separates) {
			if word = strings.Trim(word, "'"); word != "" {
				counts[word]++
				s.Words++
			}
		}
	}
	s.Distinct = len(counts)
	s.Top = make([]count, 0, len(counts))
	for _, word := range slices.Sorted(maps.Keys(counts)) {
		s.Top = append(s.Top, count{word, counts[word]})
		if utf8.RuneCountInString(word) > utf8.RuneCountInString(s.Longest) {
			s.Longest = word
		}
	}
	slices.SortStableFunc(s.Top, func(a, b count) int { return cmp.Compare(b.Count, a.Count) })
	s.Top = s.Top[:min(len(s.Top), topWords)]
	return s
}

func separates(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && r != '\''
}
