package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	// How often the original is looked at.
	interval = 200 * time.Millisecond
	// The largest file that is copied.
	largest = 1 << 20
)

// follow keeps `to` a copy of `from`, which may come, change and be replaced at any time; gone, its last copy stays.
func follow(from, to string) error {
	var seen os.FileInfo
	for ; ; time.Sleep(interval) {
		now, err := os.Stat(from)
		if err != nil || !now.Mode().IsRegular() || seen != nil && os.SameFile(seen, now) && seen.ModTime().Equal(now.ModTime()) && seen.Size() == now.Size() {
			continue
		}
		if err := refresh(from, to); err != nil {
			fmt.Fprintln(os.Stderr, err)
			time.Sleep(10 * time.Second)
			continue
		}
		seen = now
	}
}

// refresh replaces `to` as a whole: a reader sees the old one or the new one.
func refresh(from, to string) error {
	file, err := os.Open(from)
	if err != nil {
		return err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, largest+1))
	if err != nil {
		return err
	}
	if len(content) > largest {
		return fmt.Errorf("follow: %s is larger than %d bytes", from, largest)
	}
	if have, err := os.ReadFile(to); err == nil && bytes.Equal(have, content) {
		return nil
	}
	if err := os.WriteFile(to+".new", content, 0o644); err != nil {
		return err
	}
	return os.Rename(to+".new", to)
}
