package main

import (
	"errors"
	"net/http"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// grace is how long answers are waited for after the last request was due.
const grace = 10 * time.Second

// load is a single loop, as wrk is: a goroutine for each connection takes more system calls, and the processor time that
// the load takes is missing to the server.
type load struct {
	plan        [][]byte
	rate        float64
	total       int
	start       time.Time
	sent        int
	waiting     int
	connections []*connection
	polled      []unix.PollFd
	idle        []int
	latencies   []time.Duration
	failures    map[string]int
}

func newLoad(address string, plan [][]byte, rate float64, total, connections int) (*load, error) {
	l := &load{
		plan: plan, rate: rate, total: total,
		latencies: make([]time.Duration, 0, total), failures: map[string]int{},
	}
	for number := 0; number < connections; number++ {
		c, err := connect(address)
		if err != nil {
			return nil, err
		}
		l.connections = append(l.connections, c)
		l.polled = append(l.polled, unix.PollFd{Fd: int32(c.socket), Events: unix.POLLIN})
		l.idle = append(l.idle, number)
	}
	return l, nil
}

// run returns when every request is answered or has failed.
func (l *load) run() error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil { // otherwise 50 µs late
		return err
	}
	l.start = time.Now()
	deadline := l.due(l.total).Add(grace)
	for l.sent < l.total || l.waiting > 0 {
		now := time.Now()
		if now.After(deadline) {
			l.failures["timeout"] = l.total - l.sent + l.waiting
			return nil
		}
		l.send(now)
		until := deadline
		if len(l.idle) > 0 && l.sent < l.total {
			until = l.due(l.sent)
		}
		if err := l.receive(until); err != nil {
			return err
		}
	}
	return nil
}

// due is the moment at which a request is to be sent.
func (l *load) due(number int) time.Time {
	return l.start.Add(time.Duration(float64(number) / l.rate * float64(time.Second)))
}

// send takes what is due while there are idle connections; the rest waits for one, and that counts.
func (l *load) send(now time.Time) {
	for len(l.idle) > 0 && l.sent < l.total && !l.due(l.sent).After(now) {
		number := l.idle[0]
		l.idle = l.idle[1:]
		if err := l.connections[number].send(l.plan[l.sent%len(l.plan)], l.due(l.sent)); err != nil {
			l.failures["write"]++
			l.drop(number)
		} else {
			l.waiting++
		}
		l.sent++
	}
}

// receive waits for answers, but no longer than until a moment.
func (l *load) receive(until time.Time) error {
	timeout := unix.NsecToTimespec(time.Until(until).Nanoseconds())
	if timeout.Nano() < 0 {
		timeout = unix.Timespec{}
	}
	if _, err := unix.Ppoll(l.polled, &timeout, nil); err != nil && !errors.Is(err, unix.EINTR) {
		return err
	}
	for number := range l.polled {
		if l.polled[number].Revents != 0 {
			l.polled[number].Revents = 0
			l.read(number)
		}
	}
	return nil
}

func (l *load) read(number int) {
	c := l.connections[number]
	status, err := c.receive()
	if errors.Is(err, errIncomplete) {
		return
	}
	if err != nil {
		l.drop(number)
		if c.waits { // otherwise it was idle, and whoever takes it next fails
			l.failures["read"]++
			l.waiting--
		}
		return
	}
	if status >= http.StatusBadRequest {
		l.failures["status"]++
	}
	l.latencies = append(l.latencies, time.Since(c.due))
	l.waiting--
	l.idle = append(l.idle, number)
	c.waits = false
}

// drop closes a connection for good: the measurement is an error anyway.
func (l *load) drop(number int) {
	unix.Close(l.connections[number].socket)
	l.polled[number].Fd = -1
}
