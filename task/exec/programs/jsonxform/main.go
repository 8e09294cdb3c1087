// Command jsonxform transforms a list of JSON objects. The document says how:
//
//	{"steps": [
//	   {"select": ["name", "age"]},           keep only these keys
//	   {"rename": {"from": "age", "to": "years"}},
//	   {"sort": "years"},                     by this key; stable; without it last
//	   {"limit": 10}                          keep the first ones
//	 ],
//	 "records": [{"name": "Ada", "age": 36}, …]}
//
// It writes the list that the steps leave, keys in the order of the alphabet.
// Numbers sort by value and before texts, texts by their bytes. Values are
// copied as they are written. Anything else in the document is an error.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"slices"
)

type record map[string]json.RawMessage

// A step is one of its fields.
type step struct {
	Select []string `json:"select"`
	Rename *rename  `json:"rename"`
	Sort   *string  `json:"sort"`
	Limit  *int     `json:"limit"`
}

type rename struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type document struct {
	Steps   []step   `json:"steps"`
	Records []record `json:"records"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "jsonxform:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	var doc document
	decoder := json.NewDecoder(in)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&doc); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("something follows the document")
	}
	if doc.Records == nil {
		return errors.New("the document has no records")
	}
	for i, s := range doc.Steps {
		var err error
		if doc.Records, err = s.apply(doc.Records); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return json.NewEncoder(out).Encode(doc.Records)
}

func (s step) apply(records []record) ([]record, error) {
	given := 0
	for _, g := range []bool{s.Select != nil, s.Rename != nil, s.Sort != nil, s.Limit != nil} {
		if g {
			given++
		}
	}
	switch {
	case given != 1:
		return nil, fmt.Errorf("want one of select, rename, sort and limit, have %d", given)
	case s.Select != nil:
		return selectKeys(records, s.Select), nil
	case s.Rename != nil:
		return renameKey(records, *s.Rename)
	case s.Sort != nil:
		return sortBy(records, *s.Sort)
	case *s.Limit < 0:
		return nil, fmt.Errorf("limit is %d", *s.Limit)
	}
	return records[:min(len(records), *s.Limit)], nil
}

func selectKeys(records []record, keys []string) []record {
	for _, r := range records {
		for key := range r {
			if !slices.Contains(keys, key) {
				delete(r, key)
			}
		}
	}
	return records
}

func renameKey(records []record, names rename) ([]record, error) {
	for i, r := range records {
		value, ok := r[names.From]
		if !ok || names.From == names.To {
			continue
		}
		if _, taken := r[names.To]; taken {
			return nil, fmt.Errorf("record %d has a %q already", i+1, names.To)
		}
		delete(r, names.From)
		r[names.To] = value
	}
	return records, nil
}

// A sortKey orders records: numbers, then texts, then those without the key.
type sortKey struct {
	kind   int
	number *big.Rat
	text   string
}

const (
	isNumber = iota
	isText
	isMissing
)

func (k sortKey) compare(other sortKey) int {
	if k.kind != other.kind || k.kind == isMissing {
		return cmp.Compare(k.kind, other.kind)
	}
	if k.kind == isNumber {
		return k.number.Cmp(other.number)
	}
	return cmp.Compare(k.text, other.text)
}

func sortBy(records []record, key string) ([]record, error) {
	type keyed struct {
		key    sortKey
		record record
	}
	sorted := make([]keyed, len(records))
	for i, r := range records {
		k, err := parseSortKey(r[key])
		if err != nil {
			return nil, fmt.Errorf("record %d: %q: %w", i+1, key, err)
		}
		sorted[i] = keyed{k, r}
	}
	slices.SortStableFunc(sorted, func(a, b keyed) int { return a.key.compare(b.key) })
	for i := range sorted {
		records[i] = sorted[i].record
	}
	return records, nil
}

func parseSortKey(raw json.RawMessage) (sortKey, error) {
	if raw == nil {
		return sortKey{kind: isMissing}, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return sortKey{}, err
	}
	switch v := value.(type) {
	case string:
		return sortKey{kind: isText, text: v}, nil
	case json.Number:
		// A short number with a huge exponent would fill the memory as a fraction.
		if _, err := v.Float64(); err != nil {
			return sortKey{}, fmt.Errorf("number %s is out of range", v)
		}
		number, ok := new(big.Rat).SetString(v.String())
		if !ok {
			return sortKey{}, fmt.Errorf("number %s cannot be read", v)
		}
		return sortKey{kind: isNumber, number: number}, nil
	}
	return sortKey{}, errors.New("want a number or a text to sort by")
}
