package main

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

const (
	columns = "id, uid, user_id, title, description, priority, tags, due_date, completed, created_at, updated_at, revision"
	itsTask = " WHERE user_id = $1 AND id = $2 AND deleted_at IS NULL"
)

type task struct {
	ID          int64      `json:"id"`
	UID         *string    `json:"uid"`
	UserID      string     `json:"user_id"`
	Title       string     `json:"title"`
	Description *string    `json:"description"`
	Priority    int16      `json:"priority"`
	Tags        []string   `json:"tags"`
	DueDate     *time.Time `json:"due_date"`
	Completed   bool       `json:"completed"`
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
	Revision    int64      `json:"revision"`
}

type newTask struct {
	Title       string     `json:"title" binding:"required,max=200"`
	Description *string    `json:"description" binding:"omitempty,max=1000"`
	Priority    int16      `json:"priority" binding:"min=1,max=3"`
	Tags        []string   `json:"tags"`
	DueDate     *time.Time `json:"due_date"`
}

type changes struct {
	Title       *string    `json:"title" binding:"omitempty,min=1,max=200"`
	Description *string    `json:"description" binding:"omitempty,max=1000"`
	Priority    *int16     `json:"priority" binding:"omitempty,min=1,max=3"`
	Tags        []string   `json:"tags"`
	DueDate     *time.Time `json:"due_date"`
	Completed   *bool      `json:"completed"`
}

type filter struct {
	Status string `form:"status,default=all" binding:"oneof=all pending completed"`
	Tag    string `form:"tag"`
	Limit  int    `form:"limit,default=1000" binding:"min=1,max=1000"`
}

type tasks struct{ pool *pgxpool.Pool }

func (t tasks) list(c *gin.Context) {
	var query filter
	if err := c.ShouldBindQuery(&query); err != nil {
		refuse(c, http.StatusUnprocessableEntity, err.Error())
		return
	}
	where, values := " WHERE user_id = $1 AND deleted_at IS NULL", []any{c.Param("user_id"), query.Limit}
	switch query.Status {
	case "pending":
		where += " AND NOT completed"
	case "completed":
		where += " AND completed"
	}
	if query.Tag != "" {
		where += " AND tags @> $3"
		values = append(values, []string{query.Tag})
	}
	sql := "SELECT " + columns + " FROM tasks" + where + " ORDER BY created_at DESC, id DESC LIMIT $2"
	page, err := t.query(c.Request.Context(), sql, values...)
	if err != nil {
		refuse(c, http.StatusInternalServerError, err.Error())
		return
	}
	c.JSON(http.StatusOK, page)
}

func (t tasks) create(c *gin.Context) {
	created := newTask{Priority: 2, Tags: []string{}}
	if err := c.ShouldBindJSON(&created); err != nil {
		refuse(c, http.StatusUnprocessableEntity, err.Error())
		return
	}
	t.answer(c, http.StatusCreated,
		"INSERT INTO tasks (user_id, title, description, priority, tags, due_date, revision)"+
			" VALUES ($1, $2, $3, $4, $5, $6, 0) RETURNING "+columns,
		c.Param("user_id"), created.Title, created.Description, created.Priority, created.Tags, created.DueDate)
}

func (t tasks) get(c *gin.Context) {
	if id, ok := taskID(c); ok {
		t.answer(c, http.StatusOK, "SELECT "+columns+" FROM tasks"+itsTask, c.Param("user_id"), id)
	}
}

func (t tasks) update(c *gin.Context) {
	id, ok := taskID(c)
	if !ok {
		return
	}
	var changed changes
	if err := c.ShouldBindJSON(&changed); err != nil {
		refuse(c, http.StatusUnprocessableEntity, err.Error())
		return
	}
	t.answer(c, http.StatusOK,
		"UPDATE tasks SET title = coalesce($3, title), description = coalesce($4, description),"+
			" priority = coalesce($5, priority), tags = coalesce($6, tags), due_date = coalesce($7, due_date),"+
			" completed = coalesce($8, completed), updated_at = now()"+itsTask+" RETURNING "+columns,
		c.Param("user_id"), id,
		changed.Title, changed.Description, changed.Priority, changed.Tags, changed.DueDate, changed.Completed)
}

func (t tasks) toggle(c *gin.Context) {
	if id, ok := taskID(c); ok {
		t.answer(c, http.StatusOK,
			"UPDATE tasks SET completed = NOT completed, updated_at = now()"+itsTask+" RETURNING "+columns,
			c.Param("user_id"), id)
	}
}

func (t tasks) delete(c *gin.Context) {
	id, ok := taskID(c)
	if !ok {
		return
	}
	done, err := t.pool.Exec(c.Request.Context(), "UPDATE tasks SET deleted_at = now()"+itsTask, c.Param("user_id"), id)
	switch {
	case err != nil:
		refuse(c, http.StatusInternalServerError, err.Error())
	case done.RowsAffected() == 0:
		refuse(c, http.StatusNotFound, "Task not found")
	default:
		c.Status(http.StatusNoContent)
	}
}

// answer runs a statement that returns at most one task.
func (t tasks) answer(c *gin.Context, status int, sql string, values ...any) {
	one, err := scan(t.pool.QueryRow(c.Request.Context(), sql, values...))
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		refuse(c, http.StatusNotFound, "Task not found")
	case err != nil:
		refuse(c, http.StatusInternalServerError, err.Error())
	default:
		c.JSON(status, one)
	}
}

func (t tasks) query(ctx context.Context, sql string, values ...any) ([]task, error) {
	rows, err := t.pool.Query(ctx, sql, values...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := []task{}
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	return found, rows.Err()
}

func taskID(c *gin.Context) (int64, bool) {
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil {
		refuse(c, http.StatusNotFound, "Task not found")
	}
	return id, err == nil
}

func scan(row pgx.Row) (task, error) {
	var t task
	err := row.Scan(&t.ID, &t.UID, &t.UserID, &t.Title, &t.Description, &t.Priority, &t.Tags, &t.DueDate, &t.Completed,
		&t.CreatedAt, &t.UpdatedAt, &t.Revision)
	return t, err
}
