// Package bft decides which block is final at each height.
package bft
