import { useEffect, useRef } from "react";
import { authClient } from "./auth";
import { SignIn } from "./SignIn";
import { Tasks } from "./Tasks";

export function App() {
  const { data: session, isPending } = authClient.useSession();
  const before = useRef<string>(undefined);
  useEffect(() => {
    // token, tasks and unsent changes are in the page's memory: they end with the session that they belong to
    if (before.current && before.current !== session?.user.id) location.reload();
    before.current = session?.user.id;
  }, [session]);
  if (isPending) return <p className="hint">One moment…</p>;
  return session ? <Tasks name={session.user.name} /> : <SignIn />;
}
