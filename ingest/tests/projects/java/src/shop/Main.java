package shop;

public final class Main {
    public static void main(String[] args) {
        Stock stock = new Stock();
        stock.add("pen", 1);
        boolean fine = stock.take("pen") && !stock.take("ink");
        System.out.println(fine ? "fine" : "wrong");
    }
}
