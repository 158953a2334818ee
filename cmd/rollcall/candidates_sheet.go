package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
)

// sheet takes JSON lines. One with a file's name is written beside it, and takes
// the name only when it is kept: half a list must not pass for a whole one.
type sheet struct {
	w    *bufio.Writer
	enc  *json.Encoder
	file *os.File // nil = standard output
	name string
}

func newSheet(stdout io.Writer, name string) (*sheet, error) {
	s := &sheet{name: name}
	to := stdout
	if name != "" {
		f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
		if err != nil {
			return nil, usageError{err}
		}
		s.file, to = f, f
	}
	s.w = bufio.NewWriter(to)
	s.enc = json.NewEncoder(s.w)
	s.enc.SetEscapeHTML(false)
	return s, nil
}

func (s *sheet) write(v any) error { return s.enc.Encode(v) }

// keep ends the sheet. Nothing may be written after it.
func (s *sheet) keep() error {
	err := s.w.Flush()
	if err != nil || s.file == nil {
		return err
	}
	if err := errors.Join(s.file.Sync(), s.file.Close()); err != nil {
		return err
	}
	if err := os.Rename(s.file.Name(), s.name); err != nil {
		return err
	}
	s.file = nil
	return nil
}

// drop takes away what was not kept.
func (s *sheet) drop() {
	if s.file != nil {
		_ = s.file.Close() // it may be closed
		_ = os.Remove(s.file.Name())
	}
}
