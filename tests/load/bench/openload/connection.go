package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/sys/unix"
)

var errIncomplete = errors.New("the rest of the answer has not arrived")

// connection has at most one request under way.
type connection struct {
	socket   int
	waits    bool
	due      time.Time
	received []byte
	buffer   []byte
}

func connect(address string) (*connection, error) {
	to, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return nil, err
	}
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	target := unix.SockaddrInet4{Port: to.Port}
	copy(target.Addr[:], to.IP.To4())
	if err := unix.Connect(socket, &target); err != nil {
		return nil, err
	}
	if err := unix.SetsockoptInt(socket, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return nil, err
	}
	return &connection{socket: socket, buffer: make([]byte, 64<<10)}, nil
}

func (c *connection) send(request []byte, due time.Time) error {
	c.waits, c.due, c.received = true, due, c.received[:0]
	count, err := unix.Write(c.socket, request)
	if err == nil && count < len(request) {
		return io.ErrShortWrite
	}
	return err
}

// receive returns the status of the answer once all of it is here, and errIncomplete before.
func (c *connection) receive() (int, error) {
	count, err := unix.Read(c.socket, c.buffer)
	if err != nil {
		return 0, err
	}
	if count == 0 {
		return 0, io.EOF
	}
	c.received = append(c.received, c.buffer[:count]...)
	if !bytes.Contains(c.received, []byte("\r\n\r\n")) {
		return 0, errIncomplete
	}
	response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(c.received)), nil)
	if err != nil {
		return 0, err
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return 0, errIncomplete
	}
	return response.StatusCode, nil
}
