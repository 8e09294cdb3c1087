package main

import "strings"

// splitWords parts a line of the shell into words. Single quotes keep all as it
// is, double quotes keep blanks, \ keeps the next character; # begins a comment.
func splitWords(line string) ([]string, error) {
	words, open := partWords(line)
	if open != 0 {
		return nil, usagef("a %c has no end", open).hint(`close it, or write \%c for the character itself`, open)
	}
	return words, nil
}

// partWords is splitWords for a line that may not be finished: open is the
// quote or the \ that waits for its end, or 0.
func partWords(line string) (words []string, open rune) {
	var word strings.Builder
	begun := false
	end := func() {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
	for _, r := range line {
		switch {
		case open == '\\':
			word.WriteRune(r)
			open = 0
		case open == '\'' && r != '\'', open == '"' && r != '"':
			word.WriteRune(r)
		case open != 0: // its end
			open = 0
		case r == '\\' || r == '\'' || r == '"':
			open, begun = r, true
		case r == ' ' || r == '\t' || r == '\r':
			end()
		case r == '#' && !begun:
			return words, 0
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	end()
	return words, open
}
