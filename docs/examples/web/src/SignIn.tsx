import { type FormEvent, useState } from "react";
import { authClient } from "./auth";

export function SignIn() {
  const [isNew, setIsNew] = useState(false);
  const [problem, setProblem] = useState<string>();
  const [busy, setBusy] = useState(false);

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    const field = (name: string) => String(given.get(name));
    const person = { email: field("email"), password: field("password") };
    setBusy(true);
    setProblem(undefined);
    const signing = isNew ? authClient.signUp.email({ ...person, name: field("name") }) : authClient.signIn.email(person);
    const { error } = await signing;
    setBusy(false);
    if (error) setProblem(error.message ?? "The server does not answer. Try again.");
  }

  return (
    <main className="welcome">
      <h1>Tasks</h1>
      <p className="hint">On every device, a moment after you wrote them down.</p>
      <form className="card" onSubmit={submit}>
        {isNew && (
          <label>
            Name
            <input name="name" autoComplete="name" required />
          </label>
        )}
        <label>
          E-mail
          <input name="email" type="email" autoComplete="email" required />
        </label>
        <label>
          Password
          <input
            name="password"
            type="password"
            autoComplete={isNew ? "new-password" : "current-password"}
            minLength={8}
            required
          />
        </label>
        {problem && <p role="alert">{problem}</p>}
        <button className="primary" disabled={busy}>
          {isNew ? "Create account" : "Sign in"}
        </button>
        <button type="button" className="quiet" onClick={() => setIsNew(!isNew)}>
          {isNew ? "I have an account" : "I am new here"}
        </button>
      </form>
    </main>
  );
}
